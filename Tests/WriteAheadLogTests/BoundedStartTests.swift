import Foundation
import NIOCore
import Synchronization
import Testing

@testable import WriteAheadLog

/// Counts what is read of another disk.
final class CountingDisk: Disk {
    let inner: LocalDisk
    let readBytes = Atomic<Int>(0)
    let largestRead = Atomic<Int>(0)

    init(_ inner: LocalDisk) { self.inner = inner }

    var engineDescription: String { inner.engineDescription }
    var isWriting: Bool { inner.isWriting }
    func list() throws(DiskError) -> [DiskEntry] { try inner.list() }
    func create(_ name: String, sizeBytes: Int) throws(DiskError) -> LocalFile {
        try inner.create(name, sizeBytes: sizeBytes)
    }
    func open(_ name: String) throws(DiskError) -> LocalFile { try inner.open(name) }
    func write(_ file: LocalFile, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        try inner.write(file, bytes, at: offset)
    }
    func sync(_ file: LocalFile) throws(DiskError) { try inner.sync(file) }
    func beginWriteAndSync(_ file: LocalFile, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError) {
        try inner.beginWriteAndSync(file, bytes, at: offset)
    }
    func finishWriteAndSync() throws(DiskError) { try inner.finishWriteAndSync() }
    func read(_ file: LocalFile, into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(DiskError) -> Int {
        let got = try inner.read(file, into: bytes, at: offset)
        readBytes.add(got, ordering: .relaxed)
        largestRead.max(bytes.count, ordering: .relaxed)
        return got
    }
    func endWriting(_ file: LocalFile) { inner.endWriting(file) }
    func dropCache(_ file: LocalFile, at offset: Int, lengthBytes: Int) {
        inner.dropCache(file, at: offset, lengthBytes: lengthBytes)
    }
    func rename(_ name: String, to newName: String) throws(DiskError) { try inner.rename(name, to: newName) }
    func remove(_ name: String) throws(DiskError) { try inner.remove(name) }
    func syncDirectory() throws(DiskError) { try inner.syncDirectory() }
}

/// 100 GiB of segments of 64 MiB: sparse files with a head and a few groups each.
///
/// vector #26035, fluent-bit #5166: whole buffers read at the start, until memory ends.
@Suite("Starting with 100 GiB of segments")
struct BoundedStartTests {
    private static let sizeBytes = 64 << 20
    private static let count = 1600

    /// `CAIRN_KEEP_LARGE_LANE` names a directory to make the files in and leave them, for measuring the program itself.
    private let keeps = ProcessInfo.processInfo.environment["CAIRN_KEEP_LARGE_LANE"]

    private func configuration(_ path: String) -> LaneConfiguration {
        LaneConfiguration(name: "standard", directory: path, quotaBytes: 200 << 30)
    }

    private func place(_ bytes: [UInt8], _ path: String) throws {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o640)
        try #require(descriptor >= 0 && ftruncate(descriptor, off_t(Self.sizeBytes)) == 0)
        #expect(bytes.isEmpty || pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
        close(descriptor)
    }

    /// `head(sequence)` may change a segment's bytes before they are written.
    private func build(_ path: String, _ change: (UInt64, inout [UInt8]) -> Void = { _, _ in }) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        var state = LaneState(producersMax: 64, partitionsMax: 64)
        var lsn: UInt64 = 1
        var offset: Int64 = 0
        let entries = (0..<4).map { Make.entry(bytes: 1000, text: "\($0)") }
        for sequence in 1...UInt64(Self.count) {
            var segment = RawSegment(
                SegmentHeader(
                    sequence: sequence, salt: sequence &* 0x9E37_79B9, segmentSizeBytes: Self.sizeBytes, firstLSN: lsn),
                state: state)
            for _ in 0..<3 {
                segment.add(entries, baseOffset: offset, bootEpoch: 1)
                offset += 4
            }
            lsn += 13
            let place = state.partitions.place(making: PartitionName(topic: "gnss", partition: 0))
            state.partitions[place].nextOffset = offset
            state.lastBatchLSN = lsn - 1
            change(sequence, &segment.bytes)
            try self.place(segment.bytes, path + "/" + SegmentName.live(sequence))
        }
    }

    @Test("only heads and the newest segment are read, through a window of 1 MiB")
    func healthy() throws {
        let directory = TemporaryDirectory()
        let path = keeps ?? directory.path
        try build(path)
        if keeps != nil { return }
        let disk = CountingDisk(try LocalDisk(directory: path, engine: .pwrite))
        var core = try LaneCore(configuration: configuration(path), disk: disk, saltSeed: 1)
        let report = try core.recover()
        #expect(report.isClean && report.segmentCount == Self.count && report.durableLSN == UInt64(Self.count * 13))
        // Two blocks of each, the newest to its end, and a checkpoint or two.
        #expect(disk.readBytes.load(ordering: .relaxed) <= Self.count * 8192 + Self.sizeBytes + (2 << 20))
        #expect(disk.largestRead.load(ordering: .relaxed) <= 1 << 20)
        #expect(core.commit([Make.entry()])[0].lsn == UInt64(Self.count * 13) + 1)
    }

    @Test("nor is more read when every header is lost, or when every second segment is nothing but zeros")
    func damaged() throws {
        for isZeroed in [false, true] {
            let directory = TemporaryDirectory()
            try build(directory.path) { sequence, bytes in
                if !isZeroed { bytes.replaceSubrange(0..<4096, with: [UInt8](repeating: 0, count: 4096)) }
                if isZeroed, sequence % 2 == 0 { bytes = [] }
            }
            let disk = CountingDisk(try LocalDisk(directory: directory.path, engine: .pwrite))
            var core = try LaneCore(configuration: configuration(directory.path), disk: disk, saltSeed: 1)
            let report = try core.recover()
            #expect(report.unreadableSegments.count == (isZeroed ? Self.count / 2 : 0))
            // Heads, 64 KiB of each that has none, and the budgets for looking deeper and for counting old losses.
            let limit = Self.count * (8192 + 64 << 10) + (64 << 20) + (256 << 20) + 3 * Self.sizeBytes
            #expect(disk.readBytes.load(ordering: .relaxed) <= limit)
            #expect(disk.largestRead.load(ordering: .relaxed) <= 1 << 20)
            #expect(core.commit([Make.entry()])[0].lsn != nil)
        }
    }
}
