import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("The core on a disk that works")
struct CoreTests {
    @Test("a fresh log gives dense LSNs after its checkpoint and dense offsets per partition")
    func numbers() throws {
        var (core, report) = try Make.core(SimulatedDisk())
        #expect(report.isClean && report.durableLSN == 0)
        let outcomes = core.commit([
            Make.entry(records: 3), Make.entry("other"), Make.entry(records: 2), Make.entry(partition: 1),
        ])
        #expect(
            outcomes == [
                .appended(lsn: 2, baseOffset: 0), .appended(lsn: 3, baseOffset: 0),
                .appended(lsn: 4, baseOffset: 3), .appended(lsn: 5, baseOffset: 0),
            ])
        #expect(core.durableLSN == 5)
        #expect(core.partitions.map(\.highWatermark) == [5, 1, 1])
    }

    @Test("what was appended is read back as it was, in order, across segments and after a restart")
    func roundTrip() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        var expected: [UInt64: LogEntry] = [:]
        for number in 0..<120 {
            let entry = Make.entry("t\(number % 3)", records: 1 + number % 4, bytes: 9000, text: "\(number)")
            let outcome = core.commit([entry])[0]
            expected[try #require(outcome.lsn)] = entry
        }
        #expect(core.segments.count > 3)
        for _ in 0..<2 {
            let all = try core.readAll()
            #expect(all.gaps.isEmpty)
            #expect(all.batches.map(\.lsn) == expected.keys.sorted())
            for batch in all.batches {
                #expect(batch.batch == expected[batch.lsn]?.batch)
                #expect(batch.topic == expected[batch.lsn]?.topic)
                #expect(batch.wallMs == expected[batch.lsn]?.wallMs)
                #expect(batch.clockQuality == .gnss)
            }
            let report: RecoveryReport
            (core, report) = try Make.core(disk, seed: 2)
            #expect(report.isClean && report.tornTailBytes == 0)
        }
    }

    @Test("a commit larger than a group becomes several groups and stays in order")
    func severalGroups() throws {
        var (core, _) = try Make.core(SimulatedDisk())
        let outcomes = core.commit((0..<40).map { Make.entry(bytes: 5000, text: "\($0)") })
        #expect(outcomes.compactMap(\.offset) == Array(0..<40).map(Int64.init))
        #expect(core.counters.groups > 5)
        #expect(try core.readAll().batches.count == 40)
    }

    @Test("entries that can never be stored are refused one by one and harm no other")
    func refusals() throws {
        var (core, _) = try Make.core(SimulatedDisk())
        var lying = Make.entry()
        lying.batch.writeString("more")
        let limit = core.configuration.batchBytesMax
        let big = Make.entry(bytes: limit + 1)
        let outcomes = core.commit([
            big, Make.entry(""), Make.entry(partition: -1), lying, Make.entry(String(repeating: "t", count: 250)),
            Make.entry(),
        ])
        #expect(outcomes[0] == .rejected(.batchTooLarge(sizeBytes: big.batch.readableBytes, limitBytes: limit)))
        for place in 1...4 {
            guard case .rejected(.invalidEntry) = outcomes[place] else {
                Issue.record("entry \(place): \(outcomes[place])")
                continue
            }
        }
        #expect(outcomes[5] == .appended(lsn: 2, baseOffset: 0))
    }

    @Test("the largest batch allowed fits a group")
    func largestBatch() throws {
        var (core, _) = try Make.core(SimulatedDisk())
        let overhead = Make.entry(bytes: 20_000).batch.readableBytes - 20_000
        let entry = Make.entry(String(repeating: "t", count: 249), bytes: core.configuration.batchBytesMax - overhead)
        #expect(entry.batch.readableBytes == core.configuration.batchBytesMax)
        #expect(core.commit([entry])[0].lsn == 2)
        #expect(try core.readAll().batches.first?.batch == entry.batch)
    }

    @Test("a repeated batch of an idempotent producer gets its first offset, also after restart and rotation")
    func idempotence() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        let first = Make.entry(records: 2, producerID: 7, sequence: 0)
        let second = Make.entry(records: 3, producerID: 7, sequence: 2)
        #expect(core.commit([first, second]).map(\.offset) == [0, 2])
        #expect(core.commit([second]) == [.duplicate(baseOffset: 2)])
        #expect(core.commit([Make.entry(producerID: 7, sequence: 9)]) == [.rejected(.outOfOrderSequence)])
        #expect(core.commit([Make.entry(producerID: 7, epoch: 1, sequence: 0)])[0].offset == 5)
        #expect(core.commit([second]) == [.rejected(.producerFenced)])
        for number in 0..<60 { _ = core.commit([Make.entry("fill", bytes: 9000, text: "\(number)")]) }
        (core, _) = try Make.core(disk, seed: 5)
        #expect(
            core.commit([Make.entry(producerID: 7, epoch: 1, sequence: 0)]) == [.duplicate(baseOffset: 5)])
        #expect(core.commit([Make.entry(producerID: 7, epoch: 1, sequence: 1)])[0].offset == 6)
    }

    @Test("a duplicate inside one commit is answered with the offset of the first")
    func duplicateInGroup() throws {
        var (core, _) = try Make.core(SimulatedDisk())
        let entry = Make.entry(producerID: 7, sequence: 0)
        #expect(core.commit([entry, entry]) == [.appended(lsn: 2, baseOffset: 0), .duplicate(baseOffset: 0)])
        #expect(try core.readAll().batches.count == 1)
    }

    @Test("producers are bounded and the one unused longest is forgotten first")
    func producersBounded() throws {
        var (core, _) = try Make.core(SimulatedDisk()) { $0.producersMax = 16 }
        for id in 0..<40 { _ = core.commit([Make.entry(producerID: Int64(id), sequence: 0)]) }
        #expect(core.state.producers.count <= 16)
        #expect(core.commit([Make.entry(producerID: 39, sequence: 0)])[0] == .duplicate(baseOffset: 39))
        #expect(core.commit([Make.entry(producerID: 0, sequence: 0)])[0].lsn != nil)
    }

    @Test("partitions are bounded")
    func partitionsBounded() throws {
        var (core, _) = try Make.core(SimulatedDisk()) { $0.partitionsMax = 2 }
        let outcomes = core.commit((0..<3).map { Make.entry(partition: $0) })
        #expect(outcomes[2] == .rejected(.tooManyPartitions(limit: 2)))
        #expect(core.commit([Make.entry(partition: 1)])[0].offset == 1)
    }

    @Test("same calls and same seed leave the same bytes")
    func deterministic() throws {
        func run() throws -> [[UInt8]?] {
            let disk = SimulatedDisk()
            var (core, _) = try Make.core(disk)
            for number in 0..<50 {
                _ = core.commit([Make.entry(bytes: 7000, producerID: Int64(number % 5), sequence: Int32(number / 5))])
            }
            return core.segments.map { disk.contents(SegmentName.live($0.sequence)) }
        }
        let (first, second) = (try run(), try run())
        #expect(first == second)
    }
}
