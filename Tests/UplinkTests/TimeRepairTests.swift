import KafkaProtocol
import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Uplink
@testable import WriteAheadLog

/// Gateways that boot in 1970, clocks that step and jump, and what the cloud gets to see of it.
@Suite("Times are repaired at upload")
struct TimeRepairTests {
    /// The machine started here; a right wall clock says so much more than the monotonic one.
    static let bootMs: Int64 = 1_795_651_200_000
    static let weekMs: Int64 = 7 * 86_400_000

    /// A record made `atMs` after the start, and what the clock was wrong by.
    private struct Made {
        var value: String
        var atMs: Int64
        var errorMs: Int64
        var trueMs: Int64 { TimeRepairTests.bootMs + atMs }
    }

    private static func append(
        _ made: [Made], to lane: TestLane, quality: ClockQuality, bootEpoch: UInt64? = 5, isOurs: Bool = true
    ) throws {
        let (first, last) = (made[0], made[made.count - 1])
        var builder = RecordBatchBuilder()
        for record in made {
            builder.append(
                timestampMs: record.trueMs + first.errorMs, key: ByteBuffer(string: "k"),
                value: ByteBuffer(string: record.value), headers: [RecordHeader(key: "source", value: nil)])
        }
        let reading = ClockReading(
            wallMs: last.trueMs + first.errorMs, monotonicNs: UInt64(last.atMs) * 1_000_000 + 999_999)
        let stamp = TestLane.Stamp(reading: reading, quality: quality, bootEpoch: bootEpoch)
        try lane.append(builder.finish(), topic: "gnss", stamp: isOurs ? stamp : nil)
    }

    private static func known(atMs: Int64 = 3_600_000) -> ClockReading {
        ClockReading(wallMs: bootMs + atMs, monotonicNs: UInt64(atMs) * 1_000_000)
    }

    /// All records in the store, in order.
    private static func records(_ harness: Harness) throws -> [Record] {
        var found: [Record] = []
        for (_, object) in harness.memory.contents.sorted(by: { $0.key < $1.key }) {
            let footer = try ObjectReader.verify(object: object)
            for run in footer.runs {
                let bytes = try #require(object.getSlice(at: run.position, length: run.lengthBytes))
                var position = bytes.readerIndex
                var newestMs = Int64.min
                for header in try ObjectReader.verify(run: run, bytes: bytes) {
                    let batch = try #require(bytes.getSlice(at: position, length: header.totalSizeBytes))
                    position += header.totalSizeBytes
                    let records = try Batches.records(batch)
                    #expect(header.maxTimestamp == records.map(\.timestampMs).max())
                    newestMs = max(newestMs, header.maxTimestamp)
                    found += records
                }
                #expect(run.maxTimestampMs == newestMs)
            }
        }
        return found
    }

    private static func isMarked(_ record: Record) -> Bool {
        record.headers.contains { $0.key == "cairn-clock" && $0.value == ByteBuffer(string: "unknown") }
    }

    @Test(
        "what came in under a wrong clock has its true time once that is known, to the millisecond",
        arguments: [-bootMs, -1024 * weekMs, 1024 * weekMs, 315_360_000_000, -90_000, 5_000])
    func repaired(errorMs: Int64) async throws {
        let harness = Harness()
        let made = (0..<20).map { Made(value: "\($0)", atMs: 1_000 + $0 * 333, errorMs: errorMs) }
        let quality: ClockQuality = errorMs.magnitude > 1_000_000 ? .unknown : .freeRunning
        try Self.append(Array(made[..<12]), to: harness.lane, quality: quality)
        let right = made[12...].map { Made(value: $0.value, atMs: $0.atMs, errorMs: 0) }
        try Self.append(right, to: harness.lane, quality: .synchronized)
        harness.clocks[5] = Self.known()
        await harness.settle()
        let records = try Self.records(harness)
        #expect(records.map(\.timestampMs) == made.map(\.trueMs))
        #expect(records.map { String(buffer: $0.value ?? ByteBuffer()) } == made.map(\.value))
        #expect(records.allSatisfy { $0.headers.map(\.key) == ["source"] })
        #expect(harness.uplink.status.redatedRecords == 12 && harness.uplink.status.undatedRecords == 0)
        let object = try #require(harness.memory.contents[Harness.key(1)])
        let footer = try ObjectReader.verify(object: object)
        #expect(footer.header.createdMs == made[19].trueMs || footer.header.createdMs == made[11].trueMs)
    }

    @Test("where the time was never known the records say so, and keep everything else")
    func marked() async throws {
        let harness = Harness()
        let made = (0..<10).map { Made(value: "\($0)", atMs: 1_000 + $0, errorMs: -Self.bootMs) }
        try Self.append(made, to: harness.lane, quality: .unknown)
        await harness.settle()
        let records = try Self.records(harness)
        #expect(records.map(\.timestampMs) == made.map(\.atMs))
        #expect(records.allSatisfy { Self.isMarked($0) && $0.headers.first?.key == "source" && $0.key != nil })
        #expect(harness.uplink.status.undatedRecords == 10)
    }

    @Test(
        "a clock that runs freely and that nobody can correct, and the times of producers, are left alone byte for byte"
    )
    func untouched() async throws {
        var stores: [[String: ByteBuffer]] = []
        for isJudged in [true, false] {
            let harness = Harness()
            let made = [Made(value: "a", atMs: 10, errorMs: 3_600_000)]
            try Self.append(made, to: harness.lane, quality: isJudged ? .freeRunning : .gnss)
            try Self.append(made, to: harness.lane, quality: isJudged ? .unknown : .gnss, isOurs: false)
            try Self.append(made, to: harness.lane, quality: isJudged ? .unknown : .gnss, bootEpoch: isJudged ? nil : 5)
            await harness.settle()
            #expect(harness.lane.plans.allSatisfy { $0.clock == nil })
            stores.append(harness.memory.contents)
        }
        #expect(stores[0] == stores[1])
    }

    @Test("what a free-running clock may have drifted to is left alone, and a step is not", arguments: [8_000, 60_000])
    func drift(errorMs: Int64) async throws {
        let harness = Harness()
        try Self.append([Made(value: "a", atMs: 10, errorMs: errorMs)], to: harness.lane, quality: .freeRunning)
        harness.clocks[5] = Self.known(atMs: 86_400_000)
        await harness.settle()
        #expect(try Self.records(harness).map(\.timestampMs) == [Self.bootMs + 10 + (errorMs == 8_000 ? errorMs : 0)])
    }

    @Test("a client's times stay beside ones that are repaired")
    func producers() async throws {
        let harness = Harness()
        let made = [Made(value: "a", atMs: 10, errorMs: -Self.bootMs)]
        try Self.append(made, to: harness.lane, quality: .unknown, isOurs: false)
        try Self.append(made, to: harness.lane, quality: .unknown)
        harness.clocks[5] = Self.known()
        await harness.settle()
        #expect(try Self.records(harness).map(\.timestampMs) == [10, Self.bootMs + 10])
    }

    @Test("a plan knows one clock: starts that need different ones come into different objects, each right")
    func starts() async throws {
        let harness = Harness()
        for epoch in [3, 4, 4, 7] as [UInt64] {
            let made = [Made(value: "\(epoch)", atMs: 50, errorMs: -Self.bootMs)]
            try Self.append(made, to: harness.lane, quality: .unknown, bootEpoch: epoch)
        }
        harness.clocks[3] = Self.known()
        harness.clocks[7] = ClockReading(wallMs: Self.bootMs + 86_400_000, monotonicNs: 0)
        await harness.settle()
        let records = try Self.records(harness)
        #expect(records.map(\.timestampMs) == [Self.bootMs + 50, 50, 50, Self.bootMs + 86_400_050])
        #expect(records.map(Self.isMarked) == [false, true, true, false])
        #expect(harness.lane.plans.map { $0.clock?.bootEpoch } == [3, 4, 7])
        #expect(harness.lane.plans.map(\.lastLSN)[..<2] == [1, 3])
    }

    @Test(
        "killed between plan and PUT, or after a PUT nobody heard of, the same bytes go up whatever is known by then",
        arguments: 0..<40 as Range<UInt64>)
    func crash(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        var script = FaultScript(seed: seed)
        script.add(.fail(.unavailable), perMille: 300)
        script.add(.timeoutAfterSuccess, on: .put, perMille: 300)
        let harness = Harness(script)
        let errors: [Int64] = [-Self.bootMs, -1024 * Self.weekMs, 7_200_000]
        let errorMs = errors.randomElement(using: &random) ?? 0
        for round in 0..<20 as Range<Int64> {
            let made = (0..<Int64.random(in: 1...9, using: &random)).map {
                Made(value: "\(round).\($0)", atMs: round * 60_000 + $0 * 7, errorMs: errorMs)
            }
            try Self.append(made, to: harness.lane, quality: .unknown, bootEpoch: UInt64(5 + round / 7))
            await harness.settle(stepsMax: Int.random(in: 0...12, using: &random))
            // What is known changes in the middle of an upload, and the process dies there or does not.
            let other = ClockReading(wallMs: Self.bootMs + 77_000, monotonicNs: 3)
            let believed: [ClockReading?] = [nil, Self.known(), other]
            harness.clocks[UInt64.random(in: 5...7, using: &random)] = believed.randomElement(using: &random) ?? nil
            if Bool.random(using: &random) { harness.restart() }
        }
        harness.faulty.rescript { $0 = FaultScript() }
        await harness.settle()
        #expect(harness.uplink.status.alarm == nil && harness.lane.uploadState.openPlans.isEmpty)
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        let builder = SiteObjectBuilder(identity: identity, lane: "standard")
        for plan in harness.lane.plans {
            let batches = harness.lane.batches.filter { plan.firstLSN <= $0.lsn && $0.lsn <= plan.lastLSN }
            let (body, _) = try builder.build(plan, batches: batches)
            #expect(harness.memory.contents[Harness.key(plan.sequence)] == body)
        }
        #expect(harness.lane.plans.contains { $0.clock != nil })
    }
}
