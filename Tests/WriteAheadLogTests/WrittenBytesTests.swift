import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

/// iotedge #1274: writes of the store killed the microSD; NanoNNG PR 1212: ten syncs a second are bad for eMMC.
@Suite("Bytes asked of the disk")
struct WrittenBytesTests {
    @Test("every byte handed to the disk is counted, under its reason")
    func core() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        for number in 0..<90 { _ = core.commit([Make.entry(bytes: 9000, text: "\(number)")]) }
        let last = core.durableLSN
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: last))
        try core.recordUploaded(sequence: 1, lastLSN: last)
        let written = core.counters.written
        #expect(written.control == 2 * 4096)
        #expect(written.groups == 90 * 12288)
        #expect(written.zeroes == UInt64(core.nextSegment - 1) * 256 << 10)
        #expect(written.heads >= (core.nextSegment - 1) * 8192)
        #expect(written.total - written.zeroes == disk.writtenBytes)
        #expect(written.amplification(payloadBytes: core.counters.bytes) > 1.3)
        #expect(WrittenBytes().amplification(payloadBytes: 0) == 0)
        let reopened = try Make.core(disk, seed: 2).core
        #expect(reopened.counters.written.settled == 4096)
    }

    @Test("the lane's status tells it, with what SQLite wrote")
    func lane() throws {
        let directory = TemporaryDirectory()
        let log = try LaneLog.open(Make.configuration(directory.path)).log
        let done = DispatchSemaphore(value: 0)
        log.append((0..<50).map { Make.entry(bytes: 3000, text: "\($0)") }) { _ in done.signal() }
        done.wait()
        for _ in 0..<200 where log.status.written.index == 0 { usleep(20_000) }
        let written = log.status.written
        #expect(written.groups >= 150_000 && written.heads >= 8192 && written.zeroes >= 256 << 10)
        if ThreadWrites.bytes() != nil { #expect(written.index > 0) }
        log.close()
    }

    @Test("segments are multiples of an erase block")
    func eraseBlocks() throws {
        var configuration = Make.configuration()
        configuration.eraseBlockBytes = 128 << 10
        try configuration.validate()
        for size in [96 << 10, 1000, 0, 512 << 10] {
            configuration.eraseBlockBytes = size
            #expect(throws: WALError.self) { try configuration.validate() }
        }
    }
}
