import Foundation
import GroupCoordination
import Testing
import WriteAheadLog

@testable import Edge

@Suite("Offsets of the site's groups: the file")
struct GroupOffsetFileTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/groups.sqlite" }

    init() throws { directory = try TemporaryDirectory() }

    static let rows: [OffsetRow] = (0..<40).map { number in
        .put(
            group: "group-\(number % 3)", place: TopicPartition(topic: "topic", partition: Int32(number)),
            offset: CommittedOffset(offset: Int64(number) * 1_000, leaderEpoch: 0, metadata: "metadata \(number)"))
    }

    private func contents(_ rows: [OffsetRow]) -> [String: [TopicPartition: CommittedOffset]] {
        var model: [String: [TopicPartition: CommittedOffset]] = [:]
        for row in rows { row.apply(to: &model) }
        return model
    }

    @Test("rows come back as they were written, whatever characters names have")
    func roundTrip() throws {
        let strange: [OffsetRow] = ["a", "a\0b", "ä ö'; DROP TABLE offsets", ""].map {
            .put(
                group: $0, place: TopicPartition(topic: "t", partition: .max),
                offset: CommittedOffset(offset: .max, metadata: $0))
        }
        var file: GroupOffsetFile? = try GroupOffsetFile.open(path: path).file
        try file?.write(Self.rows + strange)
        try file?.write([
            .removeGroup("group-1"), .remove(group: "group-0", place: TopicPartition(topic: "topic", partition: 0)),
        ])
        file = nil
        let opened = try GroupOffsetFile.open(path: path)
        #expect(opened.damage == nil)
        var expected = contents(Self.rows + strange)
        expected["group-1"] = nil
        expected["group-0"]?[TopicPartition(topic: "topic", partition: 0)] = nil
        #expect(contents(opened.rows) == expected)
    }

    @Test("a flipped bit anywhere is noticed or harmless: never another offset, and never a start that fails")
    func flippedBits() throws {
        var file: GroupOffsetFile? = try GroupOffsetFile.open(path: path).file
        try file?.write(Self.rows)
        file = nil
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let expected = contents(Self.rows)
        var damaged = 0
        for position in stride(from: 0, to: whole.count, by: 37) {
            var bytes = whole
            bytes[position] ^= UInt8(1 << (position % 8))
            try bytes.write(to: URL(fileURLWithPath: path))
            let opened = try GroupOffsetFile.open(path: path)
            for case .put(let group, let place, let offset) in opened.rows {
                #expect(expected[group]?[place] == offset, "byte \(position)")
            }
            if opened.damage == nil {
                #expect(contents(opened.rows) == expected, "byte \(position) was lost without a word")
            } else {
                damaged += 1
                #expect(FileManager.default.fileExists(atPath: path + ".broken"))
            }
        }
        #expect(damaged > 0)
    }

    @Test("a file cut anywhere is put aside, and the new one takes commits")
    func cut() throws {
        var file: GroupOffsetFile? = try GroupOffsetFile.open(path: path).file
        try file?.write(Self.rows)
        file = nil
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for length in [1, 50, 100, 4095, 4096, whole.count - 1] {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            var opened: GroupOffsetFile.Opened? = try GroupOffsetFile.open(path: path)
            #expect(opened?.damage != nil, "\(length) bytes")
            try opened?.file.write([Self.rows[0]])
            opened = nil
            #expect(try GroupOffsetFile.open(path: path).rows.contains(Self.rows[0]))
        }
    }

    @Test("an empty file is one whose making was interrupted; another program's or a newer one is put aside")
    func others() throws {
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(try GroupOffsetFile.open(path: path).damage == nil)
        let connection = try SQLiteConnection(path: path)
        try connection.execute("PRAGMA user_version = 2")
        #expect(try GroupOffsetFile.open(path: path).damage == "version 2, this program knows 1")
        try SQLiteConnection(path: path).execute("PRAGMA application_id = 7")
        #expect(try GroupOffsetFile.open(path: path).damage == "application id 7 is not ours")
    }

    @Test("a file that breaks while it is used is begun anew with what memory knows")
    func startAnew() throws {
        var file: GroupOffsetFile? = try GroupOffsetFile.open(path: path).file
        try file?.write([Self.rows[0]])
        try file?.startAnew(with: Self.rows)
        try file?.write([.removeGroup("group-2")])
        file = nil
        let opened = try GroupOffsetFile.open(path: path)
        #expect(opened.damage == nil)
        var expected = contents(Self.rows)
        expected["group-2"] = nil
        #expect(contents(opened.rows) == expected)
    }
}
