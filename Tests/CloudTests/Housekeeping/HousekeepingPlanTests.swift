import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud

/// The pure parts of housekeeping, as transcripts.
@Suite("Housekeeping: decisions")
struct HousekeepingPlanTests {
    private static func extent(
        _ offset: Int64, bytes: Int64 = 100, at committedMs: Int64 = 0, newest: Int64? = nil,
        _ source: Extent.Source = .object
    ) -> Extent {
        var extent = Extent(
            objectKey: "o\(offset)", objectSizeBytes: bytes, position: 0, lengthBytes: bytes, baseOffset: offset,
            lastOffset: offset + 9, minTimestampMs: 0, maxTimestampMs: newest ?? committedMs,
            committedMs: committedMs)
        extent.source = source
        return extent
    }

    private static func plan(_ extents: [Extent], stable: Int64 = .max, lag: Int64 = 0) -> CompactionPlan? {
        CompactionPlan(extents: extents, lastStableOffset: stable, lagMsMin: lag, nowMs: 1_000)
    }

    @Test(
        "K2: the cleanable part ends before what is open, in a log, or too young"
    )
    func cleanable() throws {
        let clean = Self.extent(0, bytes: 300, .objectWithOffsets)
        #expect(Self.plan([clean]) == nil)
        #expect(Self.plan([]) == nil)
        let plan = try #require(Self.plan([clean, Self.extent(10), Self.extent(20)]))
        #expect(plan.extents.count == 3 && plan.firstDirty == 1 && plan.cleanBytes == 300 && plan.dirtyBytes == 200)
        #expect(plan.dirtyRatio == 0.4)
        #expect(Self.plan([clean, Self.extent(10), Self.extent(20)], stable: 29)?.extents.count == 2)
        #expect(Self.plan([clean, Self.extent(10), Self.extent(20)], stable: 19) == nil)
        let log = Self.extent(10, .log(volume: KafkaUUID(high: 1, low: 1), lsn: 1))
        #expect(Self.plan([clean, log, Self.extent(20)]) == nil)
        #expect(Self.plan([clean, Self.extent(10), Self.extent(20, at: 901)], lag: 100)?.extents.count == 2)
        // The records' times count, not the commit's, unless there are none.
        #expect(Self.plan([Self.extent(0), Self.extent(10, at: 0, newest: 901)], lag: 100)?.extents.count == 1)
        #expect(Self.plan([Self.extent(0), Self.extent(10, at: 901, newest: 900)], lag: 100)?.extents.count == 2)
        #expect(Self.plan([Self.extent(0), Self.extent(10, at: 901, newest: -1)], lag: 100)?.extents.count == 1)
    }

    @Test("a partition is due by its ratio and size, or by how long it has waited")
    func due() throws {
        let plan = try #require(Self.plan([Self.extent(0, bytes: 300, .objectWithOffsets), Self.extent(10, at: 500)]))
        var policy = CleanupPolicy()
        var configuration = HousekeepingConfiguration()
        configuration.dirtyBytesMin = 100
        policy.dirtyRatioMin = 0.25
        #expect(plan.isDue(policy, configuration, nowMs: 1_000))
        policy.dirtyRatioMin = 0.26
        #expect(!plan.isDue(policy, configuration, nowMs: 1_000))
        policy.lagMsMax = 500
        #expect(plan.isDue(policy, configuration, nowMs: 1_001))
        #expect(!plan.isDue(policy, configuration, nowMs: 1_000))
        let old = try #require(
            Self.plan([Self.extent(0, at: 900, newest: 499), Self.extent(10, at: 900, newest: 950)]))
        configuration.dirtyBytesMin = 1_000
        #expect(old.isDue(policy, configuration, nowMs: 1_000), "as old as its oldest records, whenever they came")
        configuration.dirtyBytesMin = 100
        policy.dirtyRatioMin = 0.1
        configuration.dirtyBytesMin = 101
        configuration.dirtyWaitMs = 400
        #expect(plan.isDue(policy, configuration, nowMs: 900))
        #expect(!plan.isDue(policy, configuration, nowMs: 899))
    }

    @Test("merging takes neighbours that are small and old, of one kind, up to a size and a span")
    func merging() {
        let rules = MergePlan.Rules(
            afterMs: 100, countMin: 3, belowBytes: 1_000, runBytes: 1_000, spanMsMax: 400, nowMs: 1_000)
        let plan = MergePlan(rules: rules)
        func offsets(_ extents: [Extent]) -> [[Int64]] {
            plan.stretches(extents).map { $0.extents.map(\.baseOffset) }
        }
        #expect(offsets([Self.extent(0), Self.extent(10)]) == [])
        #expect(
            offsets([Self.extent(0), Self.extent(10), Self.extent(20), Self.extent(30, at: 901)]) == [[0, 10, 20]])
        let large = Self.extent(30, bytes: 1_000)
        #expect(
            offsets([0, 10, 20].map { Self.extent($0) } + [large] + [40, 50].map { Self.extent($0) }) == [[0, 10, 20]])
        #expect(offsets((0..<13).map { Self.extent($0 * 10) }).map(\.count) == [10, 3])
        // A clean stretch and a dirty one stay apart; a marker goes with either.
        let marker = Self.extent(30, .marker(TransactionMarker(producerID: 1, epoch: 0, commits: true)))
        let kinds =
            [0, 10, 20].map { Self.extent($0, .objectWithOffsets) } + [marker] + (4..<7).map { Self.extent($0 * 10) }
        #expect(plan.stretches(kinds).map(\.holdsOffsets) == [true, false])
        #expect(offsets(kinds) == [[0, 10, 20, 30], [40, 50, 60]])
        // What was merged before is not written again for a few small ones.
        #expect(offsets([Self.extent(0, bytes: 500)] + (1..<4).map { Self.extent($0 * 10) }) == [[10, 20, 30]])
        #expect(offsets([Self.extent(0, at: 0), Self.extent(10, at: 300), Self.extent(20, at: 500)]) == [])
    }

    @Test("reading is paid for by waiting, in pauses that are worth one")
    func pacing() {
        var pacer = Pacer(bytesPerSecond: 1_000)
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        #expect(pacer.read(10, at: start) == nil)
        #expect(pacer.read(40, at: start) == .milliseconds(50))
        #expect(pacer.read(10, at: start + .seconds(1)) == nil)
        #expect(pacer.read(1_000, at: start + .seconds(1)) == .milliseconds(1_010))
        var free = Pacer(bytesPerSecond: 0)
        #expect(free.read(1 << 40, at: start) == nil)
    }

    @Test("a partition that failed rests twice as long each time, and is news once")
    func resting() {
        let place = TopicPartition(topicID: KafkaUUID(high: 1, low: 1), partition: 0)
        let start = NIODeadline.uptimeNanoseconds(0)
        var rests = Rests(first: .minutes(1))
        var isNews = rests.failed(place, at: start)
        #expect(isNews)
        #expect(rests.isResting(place, at: start + .seconds(59)))
        #expect(!rests.isResting(place, at: start + .minutes(1)))
        isNews = rests.failed(place, at: start + .minutes(1))
        #expect(!isNews)
        #expect(rests.isResting(place, at: start + .seconds(179)))
        rests.succeeded(place)
        isNews = rests.failed(place, at: start)
        #expect(isNews)
    }

    @Test("the digest is SipHash-2-4-128 as its authors publish it")
    func digest() {
        let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        func hash(_ count: Int) -> (UInt64, UInt64) {
            (0..<count).map { UInt8($0) }.withUnsafeBytes { bytes in
                var state = SipHash128(key)
                return state.finish(bytes)
            }
        }
        // vectors.h of the reference code, read as little-endian words.
        #expect(hash(0) == (0xe6a8_25ba_047f_81a3, 0x9302_55c7_1472_f66d))
        #expect(hash(1) == (0x44af_996b_d8c1_87da, 0x45fc_229b_1159_7634))
    }

    @Test("the map holds the last offset of a key, and no more keys than it may")
    func map() {
        var map = OffsetMap(keysMax: 2, seed: (1, 2))
        let (a, b, c) = (ByteBuffer(string: "a"), ByteBuffer(string: "b"), ByteBuffer(string: "c"))
        var noted = [map.note(a, at: 1), map.note(b, at: 2), map.note(a, at: 3), map.note(c, at: 4)]
        #expect(noted == [true, true, true, false])
        #expect(map.isSuperseded(a, at: 1) && !map.isSuperseded(a, at: 3) && !map.isSuperseded(c, at: 0))
        noted.append(map.note(c, at: 5, grows: true))
        #expect(noted.last == true && map.count == 3)
    }

    // MARK: One batch after the other

    private static func batch(
        _ records: [Keyed], at offset: Int64, producer: (id: Int64, epoch: Int16, sequence: Int32)? = nil,
        isTransactional: Bool = false
    ) -> ByteBuffer {
        var batch = Batches.keyed(records, producer: producer, isTransactional: isTransactional)
        RecordBatch.setBaseOffset(offset, leaderEpoch: 0, in: &batch, at: 0)
        return batch
    }

    private static func marker(_ commits: Bool, at offset: Int64) -> ByteBuffer {
        var batch = TransactionMarker(producerID: 7, epoch: 0, commits: commits).batch(timestampMs: 5)
        RecordBatch.setBaseOffset(offset, leaderEpoch: 0, in: &batch, at: 0)
        return batch
    }

    private static func cleaner(
        _ latest: [(String, Int64)] = [], aborted: [(Int64, Int64)] = [],
        producers: [Int64: BatchCleaner.Producer] = [:],
        nowMs: Int64 = 1_000
    ) -> BatchCleaner {
        var map = OffsetMap(keysMax: 100, seed: (1, 2))
        for (key, offset) in latest { _ = map.note(ByteBuffer(string: key), at: offset) }
        let ranges = AbortedRanges(
            aborted.map { (AbortedTransaction(producerID: 7, firstOffset: $0.0), lastOffset: $0.1) })
        return BatchCleaner(map: map, aborted: ranges, producers: producers, deleteRetentionMs: 100, nowMs: nowMs)
    }

    private static func judge(
        _ cleaner: inout BatchCleaner, _ batch: ByteBuffer, isCleaned: Bool = false
    ) throws -> BatchCleaner.Verdict {
        try cleaner.judge(batch, RecordBatchHeader(reading: batch, at: batch.readerIndex), isCleaned: isCleaned)
    }

    @Test("K2: a commit marker stays while records of its transaction are there, then gets a horizon, then goes")
    func commitMarker() throws {
        var cleaner = Self.cleaner()
        let records = Self.batch([("a", "1")], at: 0, producer: (7, 0, 0), isTransactional: true)
        #expect(try Self.judge(&cleaner, records) == .keep)
        #expect(try Self.judge(&cleaner, Self.marker(true, at: 1)) == .keep)
        guard case .replace(let marked) = try Self.judge(&cleaner, Self.marker(true, at: 1)) else {
            Issue.record("a marker without records gets a horizon")
            return
        }
        let header = try RecordBatch.validateOneStored(marked)
        #expect(header.deleteHorizonMs == 1_100 && header.isControl && header.baseOffset == 1)
        #expect(try EndTransactionMarker(reading: marked)?.isCommit == true)
        var early = Self.cleaner(nowMs: 1_099)
        #expect(try Self.judge(&early, marked, isCleaned: true) == .keep)
        var late = Self.cleaner(nowMs: 1_100)
        #expect(try Self.judge(&late, marked, isCleaned: true) == .drop)
    }

    @Test(
        "K2: aborted records go at once; their marker ends the transaction for the ledger, and goes after its horizon")
    func abortMarker() throws {
        let first = AbortedTransaction(producerID: 7, firstOffset: 0)
        var cleaner = Self.cleaner(aborted: [(0, 1)])
        let records = Self.batch([("a", "1")], at: 0, producer: (7, 0, 0), isTransactional: true)
        #expect(try Self.judge(&cleaner, records) == .drop)
        #expect(cleaner.takeOver() == [], "not before the marker: more records may come")
        guard case .replace(let marked) = try Self.judge(&cleaner, Self.marker(false, at: 1)) else {
            Issue.record("a marker gets a horizon")
            return
        }
        #expect(cleaner.takeOver() == [first])
        #expect(cleaner.takeOver() == [])
        #expect(try RecordBatch.validateOneStored(marked).deleteHorizonMs == 1_100)
        // A marker that ends nothing the ledger names.
        #expect(try Self.judge(&cleaner, Self.marker(false, at: 9)) != .keep)
        #expect(cleaner.takeOver() == [])
        // While the ledger names the transaction the marker stays, whatever its horizon, and is told again.
        var named = Self.cleaner(aborted: [(0, 1)], nowMs: 9_999)
        #expect(try Self.judge(&named, marked, isCleaned: true) == .keep)
        #expect(named.takeOver() == [first])
        var late = Self.cleaner(nowMs: 1_100)
        #expect(try Self.judge(&late, marked, isCleaned: true) == .drop)
        // The same producer's next transaction is not aborted.
        let next = Self.batch([("a", "1")], at: 2, producer: (7, 0, 1), isTransactional: true)
        #expect(try Self.judge(&cleaner, next) == .keep)
    }

    @Test("K1: of a batch without needed records a producer's last stays, with its sequence")
    func lastOfProducer() throws {
        var cleaner = Self.cleaner([("a", 99), ("b", 99)], producers: [7: .init(epoch: 0, lastSequence: 3)])
        #expect(try Self.judge(&cleaner, Self.batch([("a", "1"), ("b", "1")], at: 0, producer: (7, 0, 0))) == .drop)
        let last = Self.batch([("a", "1"), ("b", "1")], at: 2, producer: (7, 0, 2))
        guard case .replace(let empty) = try Self.judge(&cleaner, last) else {
            Issue.record("dropped")
            return
        }
        let header = try RecordBatch.validateOneStored(empty)
        #expect(header.recordCount == 0 && header.lastSequence == 3 && header.lastOffset == 3)
        #expect(try Self.judge(&cleaner, empty, isCleaned: true) == .keep)
        #expect(cleaner.recordsRemoved == 4)
    }

    @Test("a delete horizon that a stranger wrote is not believed")
    func strangersHorizon() throws {
        var cleaner = Self.cleaner([("a", 0)])
        let tombstone = Self.batch([("a", nil)], at: 0)
        let forged = try #require(try RecordBatch.filtering(tombstone, deleteHorizonMs: 1) { _ in true })
        guard case .replace(let marked) = try Self.judge(&cleaner, forged) else {
            Issue.record("dropped or kept as it was")
            return
        }
        #expect(try RecordBatch.validateOneStored(marked).deleteHorizonMs == 1_100)
    }
}
