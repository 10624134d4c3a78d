import GroupCoordination
import KafkaProtocol
import Testing

@testable import Edge

@Suite("Offsets of the site's groups: the table")
struct OffsetTableTests {
    static let place = TopicPartition(topic: "t", partition: 0)

    static func commit(
        _ group: String, _ offset: Int64, _ place: TopicPartition = place, metadata: String = ""
    ) -> OffsetChange {
        .commit(
            group: group, offsets: [.init(place: place, offset: CommittedOffset(offset: offset, metadata: metadata))])
    }

    @Test("commits, deletes of offsets and of groups give codes and the rows to write")
    func changes() {
        var table = OffsetTable()
        var rows: [OffsetRow] = []
        func apply(_ change: OffsetChange) -> [ErrorCode] {
            rows = []
            return table.apply(change, rows: &rows)
        }
        let other = TopicPartition(topic: "u", partition: 3)
        #expect(apply(Self.commit("g", 5)) == [.none])
        #expect(rows == [.put(group: "g", place: Self.place, offset: CommittedOffset(offset: 5))])
        #expect(apply(Self.commit("g", 7, other)) == [.none])
        #expect(apply(.deleteOffsets(group: "g", places: [Self.place, Self.place])) == [.none, .none])
        #expect(rows == [.remove(group: "g", place: Self.place)])
        #expect(table.groups == ["g": [other: CommittedOffset(offset: 7)]])
        #expect(apply(.deleteOffsets(group: "g", places: [other])) == [.none])
        #expect(table.groups.isEmpty && table.sizeBytes == 0 && table.offsetCount == 0)
        #expect(apply(Self.commit("g", 1)) == [.none])
        #expect(apply(.deleteGroup("g")) == [.none])
        #expect(rows == [.removeGroup("g")])
        #expect(apply(.deleteGroup("g")) == [.none])
        #expect(rows.isEmpty)
        #expect(apply(Self.commit("g", -1)) == [.invalidCommitOffsetSize])
        #expect(rows.isEmpty)
    }

    @Test("what is beyond the limits is refused, and what is there may still be changed")
    func limits() {
        var table = OffsetTable(limits: OffsetLimits(groupsMax: 2, offsetsMax: 3, bytesMax: 2_000))
        var rows: [OffsetRow] = []
        #expect(table.apply(Self.commit("a", 1), rows: &rows) == [.none])
        #expect(table.apply(Self.commit("b", 1), rows: &rows) == [.none])
        #expect(table.apply(Self.commit("c", 1), rows: &rows) == [.invalidCommitOffsetSize])
        let second = TopicPartition(topic: "t", partition: 1)
        let third = TopicPartition(topic: "t", partition: 2)
        #expect(table.apply(Self.commit("a", 1, second), rows: &rows) == [.none])
        #expect(table.apply(Self.commit("a", 1, third), rows: &rows) == [.invalidCommitOffsetSize])
        #expect(table.apply(Self.commit("a", 2, second), rows: &rows) == [.none])
        let long = String(repeating: "m", count: 4_000)
        #expect(table.apply(Self.commit("a", 3, second, metadata: long), rows: &rows) == [.invalidCommitOffsetSize])
        #expect(table.groups["a"]?[second]?.offset == 2)
        #expect(rows.count == 4)
    }

    @Test("offsets beyond the end of a log that has lost records are set to its end, others are left")
    func clamp() {
        var table = OffsetTable()
        var rows: [OffsetRow] = []
        let lost = TopicPartition(topic: "lost", partition: 0)
        _ = table.apply(Self.commit("g", 5), rows: &rows)
        _ = table.apply(Self.commit("g", 900, lost, metadata: "m"), rows: &rows)
        rows = []
        #expect(table.clamp(rows: &rows) { $0 == lost ? 20 : 5 } == 1)
        #expect(rows == [.put(group: "g", place: lost, offset: CommittedOffset(offset: 20, metadata: "m"))])
        #expect(table.groups["g"]?[lost]?.offset == 20)
        #expect(table.groups["g"]?[Self.place]?.offset == 5)
    }

    @Test("sums and rows agree with a plain model after any changes", arguments: UInt64(0)..<20)
    func model(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var table = OffsetTable(limits: OffsetLimits(groupsMax: 4, offsetsMax: 20, bytesMax: 8_000))
        var model: [String: [TopicPartition: CommittedOffset]] = [:]
        for step in 0..<400 {
            let group = "g\(Int.random(in: 0..<6, using: &random))"
            let places = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                TopicPartition(topic: "t", partition: Int32.random(in: 0..<8, using: &random))
            }
            var rows: [OffsetRow] = []
            switch Int.random(in: 0..<8, using: &random) {
            case 0: _ = table.apply(.deleteGroup(group), rows: &rows)
            case 1: _ = table.apply(.deleteOffsets(group: group, places: places), rows: &rows)
            default:
                let text = String(repeating: "m", count: Int.random(in: 0..<300, using: &random))
                let offsets = places.map {
                    OffsetChange.NamedOffset(place: $0, offset: CommittedOffset(offset: Int64(step), metadata: text))
                }
                _ = table.apply(.commit(group: group, offsets: offsets), rows: &rows)
            }
            for row in rows { row.apply(to: &model) }
            #expect(table.groups == model)
            #expect(table.offsetCount == model.values.reduce(0) { $0 + $1.count })
            #expect(table.groups.count <= 4 && table.offsetCount <= 20 && table.sizeBytes <= 8_000)
        }
        for group in Array(table.groups.keys) {
            var rows: [OffsetRow] = []
            _ = table.apply(.deleteGroup(group), rows: &rows)
        }
        #expect(table.sizeBytes == 0 && table.offsetCount == 0)
    }
}

extension OffsetRow {
    /// What the row does to a file.
    func apply(to model: inout [String: [TopicPartition: CommittedOffset]]) {
        switch self {
        case .put(let group, let place, let offset): model[group, default: [:]][place] = offset
        case .remove(let group, let place):
            model[group]?[place] = nil
            if model[group]?.isEmpty ?? false { model[group] = nil }
        case .removeGroup(let group): model[group] = nil
        }
    }
}
