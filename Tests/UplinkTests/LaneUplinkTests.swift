import KafkaProtocol
import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Uplink
@testable import WriteAheadLog

@Suite("Lane uplink")
struct LaneUplinkTests {
    func fill(_ harness: Harness, batches: Int, seed: UInt64 = 9) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<batches {
            let isOwn = Int.random(in: 0..<4, using: &random) > 0
            let batch =
                isOwn
                ? Batches.random(using: &random)
                : Batches.random(using: &random, compression: .zstd(level: 3), producerID: 5)
            try harness.lane.append(
                batch, topic: ["rtcm", "nmea"].randomElement(using: &random) ?? "x",
                partition: Int32.random(in: 0..<3, using: &random))
        }
    }

    @Test("what is appended arrives, once and in order")
    func arrives() async throws {
        let harness = Harness()
        try fill(harness, batches: 200)
        await harness.settle()
        try harness.checkStore()
        let status = harness.uplink.status
        #expect(status.uploadedObjects == UInt64(harness.memory.contents.count))
        #expect(status.uploadedObjects > 5)
        #expect(status.nextSequence == status.uploadedObjects + 1)
        #expect(status.phase == .waiting)
        #expect(status.lastError == nil)
        #expect(await harness.uplink.isDrained)
    }

    @Test(
        "killed after any number of steps, the next process goes on and nothing is lost or doubled", arguments: 1..<40)
    func killedAnywhere(steps: Int) async throws {
        let harness = Harness()
        try fill(harness, batches: 40)
        var count = 0
        while await harness.settle(stepsMax: steps) == steps {
            harness.restart()
            count += 1
            if steps <= 3, count > 300 { break }  // record the plan, put, compare: never enough to finish a start
            if count == 3 { try fill(harness, batches: 10, seed: 33) }
        }
        await harness.settle()
        try harness.checkStore()
    }

    @Test("killed between any two steps with a store that loses answers, it is the same", arguments: 0..<40)
    func killedWithFaults(seed: Int) async throws {
        var script = FaultScript(seed: UInt64(seed))
        script.add(.fail(.unavailable), perMille: 100)
        script.add(.failAfterEffect(.timeout), on: .put, perMille: 200)
        script.add(.ownObjectExists, on: .put, perMille: 100)
        script.add(.existsFalsely, on: .put, perMille: 100)
        script.add(.tornPut(sizeBytes: seed * 37), on: .put, perMille: 100)
        script.add(.staleHead, on: .head, perMille: 200)
        script.add(.delay(.seconds(20)), perMille: 50)
        script.add(.throttle(retryAfter: .seconds(3)), perMille: 50)
        script.add(.flipGet(bit: 77), on: .get, perMille: 100)
        script.add(.truncateGet(sizeBytes: 30), on: .get, perMille: 50)
        let harness = Harness(script)
        var random = SeededRandom(seed: UInt64(seed))
        for round in 0..<12 {
            try fill(harness, batches: Int.random(in: 0...20, using: &random), seed: UInt64(seed * 100 + round))
            await harness.settle(stepsMax: Int.random(in: 1...12, using: &random))
            if Bool.random(using: &random) { harness.restart() }
        }
        harness.faulty.rescript { $0 = FaultScript() }
        await harness.settle()
        try harness.checkStore()
    }

    @Test(
        "a lost answer, a timeout after success and a 412 on our own object count as done",
        arguments: [
            StoreFault.timeoutAfterSuccess, .failAfterEffect(.unavailable), .ownObjectExists, .existsFalsely,
            .tornPut(sizeBytes: 0), .tornPut(sizeBytes: 77), .tornPut(sizeBytes: .max),
        ])
    func ownObject(fault: StoreFault) async throws {
        var script = FaultScript()
        script.add(fault, on: .put)
        let harness = Harness(script)
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        await harness.settle()
        try harness.checkStore()
        #expect(harness.lane.uploadState == UploadState(nextSequence: 2, uploadedThrough: 1))
        #expect(harness.uplink.status.alarm == nil)
        #expect(harness.uplink.status.uploadedRecords == 1)
    }

    @Test("a 503 is waited out as long as the store asks")
    func throttled() async throws {
        var script = FaultScript()
        script.add(.throttle(retryAfter: .seconds(40)), on: .put, times: 3)
        let harness = Harness(script)
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        await harness.settle()
        try harness.checkStore()
        #expect(harness.clock.now.time >= .seconds(120))
        #expect(harness.uplink.status.failedAttempts == 3)
    }

    @Test("a foreign object under our key parks the lane and is never overwritten; once it is gone the lane goes on")
    func foreignObject() async throws {
        let harness = Harness()
        let foreign = ByteBuffer(string: "not ours")
        _ = try await harness.memory.put(Harness.key(1), foreign, ifAbsent: false)
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        #expect(await harness.settle(stepsMax: 100) == 100)
        #expect(harness.memory.contents == [Harness.key(1): foreign])
        #expect(harness.uplink.status.phase == .parked)
        #expect(harness.uplink.status.alarm?.contains("compare \(Harness.key(1))") == true)
        #expect(harness.lane.uploadState.uploadedThrough == 0)
        _ = try await harness.memory.delete([Harness.key(1)])
        await harness.settle()
        try harness.checkStore()
        #expect(harness.uplink.status.alarm == nil)
    }

    @Test(
        "the torn beginning of our own object, as a store keeps it when a sender dies, is replaced",
        arguments: [0, 1, 90])
    func tornObject(sizeBytes: Int) async throws {
        let harness = Harness()
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        await harness.settle()
        let whole = try #require(harness.memory.contents[Harness.key(1)])
        let torn = try #require(whole.getSlice(at: whole.readerIndex, length: sizeBytes))
        let second = Harness()
        try second.lane.append(Batches.plain(["a"]), topic: "t")
        _ = try await second.memory.put(Harness.key(1), torn, ifAbsent: false)
        await second.settle()
        #expect(second.memory.contents[Harness.key(1)] == whole)
        #expect(second.uplink.status.alarm == nil)
        try second.checkStore()
    }

    @Test("reads of our own object that come broken, each in another way, do not make it foreign")
    func brokenReads() async throws {
        let batch = Batches.plain([String(repeating: "a", count: 4000)])
        let first = Harness()
        try first.lane.append(batch, topic: "t")
        await first.settle()
        let sizeBytes = try #require(first.memory.contents[Harness.key(1)]).readableBytes
        var script = FaultScript()
        script.add(.timeoutAfterSuccess, on: .put)
        // Bits of the checksum in the trailer.
        for look in 0..<20 { script.add(.flipGet(bit: (sizeBytes - 12) * 8 + look), on: .get, skipping: look) }
        let harness = Harness(script)
        try harness.lane.append(batch, topic: "t")
        await harness.settle()
        try harness.checkStore()
        #expect(harness.conflicts.all.isEmpty && harness.uplink.status.failedAttempts > 20)
    }

    @Test("an object of the same key but another range, incarnation or data is foreign", arguments: 0..<4)
    func foreignFooter(variant: Int) async throws {
        let harness = Harness()
        var header = ObjectHeader.site(
            "quarry", incarnation: Harness.incarnation, lane: "standard", sequence: 1, firstLSN: 1, lastLSN: 1,
            createdMs: 0)
        let ours = Batches.plain(["a"])
        var batch = ours
        switch variant {
        case 0: header.lastLSN = 2
        case 1: header.incarnation = "ffffffffffffffffffffffffffffffff"
        case 2: header.lane = "bulk"
        default: batch = Batches.plain(["a"], baseMs: 5)
        }
        var writer = try ObjectWriter(header: header)
        try writer.append(batch, topic: "t", partition: 0, localOffset: 0)
        let foreign = writer.finish().body
        _ = try await harness.memory.put(Harness.key(1), foreign, ifAbsent: false)
        try harness.lane.append(ours, topic: "t")
        await harness.settle(stepsMax: 50)
        #expect(harness.uplink.status.phase == .parked)
        #expect(harness.memory.contents == [Harness.key(1): foreign])
    }

    @Test("a permanent error is an alarm with the operation's name, and heals by itself")
    func denied() async throws {
        var script = FaultScript()
        script.add(.fail(.denied), on: .put, times: 5)
        let harness = Harness(script)
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        await harness.settle(stepsMax: 6)
        #expect(harness.uplink.status.alarm?.hasPrefix("put \(Harness.key(1)): denied") == true)
        #expect(harness.uplink.status.phase == .parked)
        await harness.settle()
        try harness.checkStore()
        #expect(harness.uplink.status.alarm == nil)
    }

    @Test("a log that fails to read or to record is tried again", arguments: ["read", "plan", "uploaded"])
    func logFails(operation: String) async throws {
        let harness = Harness()
        harness.lane.fail(operation, times: 3)
        try fill(harness, batches: 10)
        await harness.settle()
        try harness.checkStore()
        #expect(harness.uplink.status.failedAttempts == 3)
    }

    @Test("a cloud that is down does not hold up uploads; afterwards only the newest object is announced")
    func announceFails() async throws {
        let harness = Harness()
        harness.cloud.setDown(true)
        try fill(harness, batches: 60)
        await harness.settle()
        await harness.settleAnnouncements(stepsMax: 20)
        try harness.checkStore()
        #expect(harness.uplink.status.isAnnouncing)
        #expect(harness.uplink.status.lastAnnounceError == "announce: unreachable")
        harness.cloud.setDown(false)
        await harness.settleAnnouncements()
        let newest = harness.uplink.status.nextSequence - 1
        #expect(harness.cloud.heard.map(\.sequence) == [newest])
        #expect(harness.cloud.heard[0].objectKey?.key == Harness.key(newest))
        #expect(harness.uplink.status.adoptedThrough == newest)
        #expect(!harness.uplink.status.isAnnouncing)
    }

    @Test("after a restart the newest uploaded object is announced once more")
    func announceAfterRestart() async throws {
        let harness = Harness()
        try fill(harness, batches: 10)
        await harness.settle()
        harness.restart()
        await harness.settleAnnouncements()
        #expect(harness.cloud.heard.map(\.key) == [Harness.key(harness.lane.uploadState.nextSequence - 1)])
    }

    @Test("the object of a plan has the same bytes whenever it is built")
    func deterministic() async throws {
        let harness = Harness()
        try fill(harness, batches: 100)
        await harness.settle()
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        let builder = SiteObjectBuilder(identity: identity, lane: "standard")
        for plan in harness.lane.plans {
            let range = try harness.lane.gather(plan: plan)
            let built = try builder.build(plan, batches: range.batches)
            #expect(harness.memory.contents[builder.key(sequence: plan.sequence)] == built.body)
        }
    }

    @Test("of two gateways from one disk neither takes the other's object for its own")
    func twins() throws {
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        let builder = SiteObjectBuilder(identity: identity, lane: "standard")
        func footer(_ author: UInt64, _ text: String, isLossy: Bool = false) throws -> ObjectFooter {
            let harness = Harness()
            try harness.lane.append(Batches.plain([text]), topic: "t")
            let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 2, author: author)
            let batches = isLossy ? [] : try harness.lane.gather(plan: plan).batches
            let lost = isLossy ? [GapRecord(reason: .unreadable, firstLSN: 2, lastLSN: 2)] : []
            return try builder.build(plan, batches: batches, gaps: lost).footer
        }
        let mine = try footer(7, "a")
        #expect(try footer(7, "a").difference(from: mine) == nil)
        // What came from the common disk is the same, and must not go up again.
        #expect(try footer(8, "a").difference(from: mine) == nil)
        // As many records of the same times.
        #expect(try footer(8, "b").difference(from: mine) != nil)
        // One's own, built while some of it could not be read.
        #expect(try footer(7, "a", isLossy: true).difference(from: mine) == nil)
        #expect(try footer(8, "a", isLossy: true).difference(from: mine) != nil)
        // Of a program that names no author.
        #expect(try footer(0, "a").difference(from: mine) == nil)
        #expect(
            mine.header.author == 7 && ObjectHeader.cloud(nodeID: "n", epoch: 3, sequence: 1, createdMs: 0).author == 0)
    }

    @Test("a range whose data the log has lost still gets its object, so that the sequence goes on")
    func lostRange() throws {
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        let builder = SiteObjectBuilder(identity: identity, lane: "standard")
        let plan = UploadPlan(sequence: 3, firstLSN: 10, lastLSN: 20)
        let (body, footer) = try builder.build(plan, batches: [])
        #expect(try ObjectReader.verify(object: body) == footer)
        #expect(footer.header.firstLSN == 10 && footer.header.lastLSN == 20 && footer.runs.isEmpty)
    }

    @Test("no object is made of more log than the limit, one large batch apart")
    func bounded() async throws {
        let harness = Harness()
        try harness.lane.append(Batches.plain([String(repeating: "x", count: 5000)]), topic: "t")
        try fill(harness, batches: 50)
        await harness.settle()
        try harness.checkStore()
        for plan in harness.lane.plans {
            let range = try harness.lane.gather(plan: plan)
            #expect(range.logBytes <= 2000 || range.batches.count == 1)
        }
    }

    @Test("names that cannot be part of a key make no identity")
    func identity() {
        #expect(UplinkIdentity(site: "a/b", incarnation: Harness.incarnation) == nil)
        #expect(UplinkIdentity(site: "a", incarnation: "abc") == nil)
    }
}
