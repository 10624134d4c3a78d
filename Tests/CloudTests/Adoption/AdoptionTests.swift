import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Cloud

@Suite("Adoption of site objects", .timeLimit(.minutes(1)))
struct AdoptionTests {
    @Test("an announced object becomes visible, once, in a topic made for it")
    func announce() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            let key = try await site.put(1, into: world.memory)
            let report = await world.broker.adopter.adopt(key: key)
            #expect(report == AdoptionReport(result: .adopted, adoptedSequence: 1, adoptedLSN: 10))
            let again = await world.broker.adopter.adopt(key: key, sizeHint: 1)
            #expect(again == report)
            #expect(try await world.readAll().map(\.value) == ["1.0", "1.1"])
            let lanes = world.broker.status().lanes
            #expect(lanes.map(\.adoptedSequence) == [1])
            #expect(lanes.map(\.adoptedLSN) == [10])
            #expect(lanes.first?.quarantine == nil)
        }
    }

    @Test("missing announcements are made good by those after them, in order")
    func gaps() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            try await site.put(3, into: world.memory)
            let early = await world.broker.adopter.adopt(key: site.key(3))
            #expect(early.result == .missing(sequence: 1))
            #expect(early.adoptedSequence == 0)
            try await site.put(1, into: world.memory)
            try await site.put(2, into: world.memory)
            let late = await world.broker.adopter.adopt(key: site.key(3))
            #expect(late == AdoptionReport(result: .adopted, adoptedSequence: 3, adoptedLSN: 30))
            #expect(try await world.readAll().map(\.value) == ["1.0", "1.1", "2.0", "2.1", "3.0", "3.1"])
        }
    }

    @Test("many announcements at once adopt every object once", arguments: 0..<8)
    func concurrent(seed: UInt64) async throws {
        var random = SplitMix(seed: seed)
        let order = (UInt64(1)...20).flatMap { [$0, $0] }.shuffled(using: &random)
        var script = FaultScript(seed: seed)
        script.add(.fail(.unavailable), on: .get, perMille: 100)
        script.add(.fail(.timeout), on: .head, perMille: 100)
        let finalScript = script
        try await BrokerWorld.run(script: finalScript) { world in
            let sites = [SiteObjects(), SiteObjects(site: "other"), SiteObjects(lane: "critical")]
            for (index, site) in sites.enumerated() {
                for sequence in UInt64(1)...20 {
                    try await site.put(sequence, into: world.memory, partition: Int32(index))
                }
            }
            await withTaskGroup(of: Void.self) { group in
                for site in sites {
                    for sequence in order {
                        group.addTask { _ = await world.broker.adopter.adopt(key: site.key(sequence)) }
                    }
                }
            }
            // Whatever failed on the way is found by listing.
            try await until { await world.broker.adopter.reconcile() && world.broker.adopter.counts.objects == 60 }
            for partition in 0..<Int32(3) {
                let values = try await world.readAll(partition: partition).map(\.value)
                #expect(values == (1...20).flatMap { ["\($0).0", "\($0).1"] }, "seed \(seed)")
            }
        }
    }

    @Test(
        "several adopters over one ledger commit every object once, whatever they are told and the store says",
        arguments: 0..<6)
    func severalAdopters(seed: UInt64) async throws {
        var script = FaultScript(seed: seed)
        script.add(.fail(.unavailable), on: .get, perMille: 100)
        script.add(.truncateGet(sizeBytes: 20), on: .get, perMille: 50)
        script.add(.staleHead, on: .head, perMille: 50)
        script.add(.staleList(newest: 3), on: .list, perMille: 300)
        let finalScript = script
        try await BrokerWorld.run(script: finalScript) { world in
            let site = SiteObjects()
            for sequence in UInt64(1)...20 { try await site.put(sequence, into: world.memory) }
            let adopters = world.adopters(5)
            await withTaskGroup(of: Void.self) { group in
                for (index, adopter) in adopters.enumerated() {
                    var random = SplitMix(seed: seed &* 31 &+ UInt64(index))
                    let order = (UInt64(1)...20).shuffled(using: &random)
                    group.addTask {
                        for sequence in order { _ = await adopter.adopt(key: site.key(sequence)) }
                        _ = await adopter.reconcile()
                    }
                }
            }
            try await until {
                await world.broker.adopter.reconcile() && world.broker.adopter.lanes().first?.adoptedSequence == 20
            }
            let values = try await world.readAll().map(\.value)
            #expect(values == (1...20).flatMap { ["\($0).0", "\($0).1"] }, "seed \(seed)")
        }
    }

    @Test("an object under another's key, of another lane or cut short is set aside and blocks only its lane")
    func quarantine() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            let forged = SiteObjects(site: "victim")
            _ = try await world.memory.put(forged.key(1), try site.body(1, values: ["x"]), ifAbsent: true)
            let foreign = await world.broker.adopter.adopt(key: forged.key(1))
            #expect(foreign.result == .quarantined(key: forged.key(1), .foreignHeader(field: "site")))

            let wrongNumber = SiteObjects(lane: "bulk")
            _ = try await world.memory.put(wrongNumber.key(1), try wrongNumber.body(2, values: ["x"]), ifAbsent: true)
            let number = await world.broker.adopter.adopt(key: wrongNumber.key(1))
            #expect(number.result == .quarantined(key: wrongNumber.key(1), .foreignHeader(field: "sequence")))

            let cut = SiteObjects(lane: "critical")
            let whole = try cut.body(1, values: ["x"])
            let half = try #require(whole.getSlice(at: 0, length: whole.readableBytes / 2))
            _ = try await world.memory.put(cut.key(1), half, ifAbsent: true)
            let report = await world.broker.adopter.adopt(key: cut.key(1))
            guard case .quarantined(_, .format) = report.result else {
                Issue.record("\(report)")
                return
            }
            try await site.put(1, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: site.key(1)).result == .adopted)
            let status = world.broker.status()
            #expect(status.lanes.count { $0.quarantine != nil } == 3)
            #expect(status.problems.count == 3)
            // The pass over the listing at the broker's start may have met them too.
            #expect(status.adoption.flaws >= 3)

            // Put right, it goes on.
            _ = try await world.memory.put(cut.key(1), whole, ifAbsent: false)
            #expect(await world.broker.adopter.adopt(key: cut.key(1)).result == .adopted)
            #expect(world.broker.status().lanes.count { $0.quarantine != nil } == 2)
        }
    }

    @Test("every flipped byte of footer and trailer keeps an object out")
    func corruptFooter() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            let body = try site.body(1, values: ["x"])
            let footer = try ObjectReader.verify(object: body)
            let start = body.readerIndex + (footer.runs.map(\.range.upperBound).max() ?? 0)
            for index in stride(from: start, to: body.writerIndex, by: 7) {
                var flipped = body
                let byte = try #require(body.getInteger(at: index, as: UInt8.self))
                flipped.setInteger(byte ^ 0x10, at: index)
                _ = try await world.memory.put(site.key(1), flipped, ifAbsent: false)
                let report = await world.broker.adopter.adopt(key: site.key(1))
                if report.result == .adopted { Issue.record("byte \(index) of \(body.readableBytes)") }
            }
            #expect(world.ledger.view.topics().isEmpty)
        }
    }

    @Test("a wrong size hint and keys that name nothing do no harm")
    func hints() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            for (sequence, hint) in zip(UInt64(1)..., [1, 100, 1 << 40, -5, 0]) {
                try await site.put(sequence, into: world.memory)
                let report = await world.broker.adopter.adopt(key: site.key(sequence), sizeHint: hint)
                #expect(report.result == .adopted, "hint \(hint)")
            }
            for key in ["", "x", "sites/a/b/c/1", "data/1/2/3", site.key(0), site.key(1) + "0", "sites/../x/y/z"] {
                #expect(await world.broker.adopter.adopt(key: key).result == .refused(.badKey))
            }
        }
    }

    @Test("listing finds what nobody announced, in all lanes, old and new")
    func reconcile() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        let sites = ["a", "a-b", "a.b", "b"].flatMap { [SiteObjects(site: $0), SiteObjects(site: $0, lane: "bulk")] }
        for site in sites { for sequence in UInt64(1)...3 { try await site.put(sequence, into: memory) } }
        _ = try await memory.put("sites/garbage", ByteBuffer(string: "x"), ifAbsent: true)
        try await BrokerWorld.run(memory: memory, log: log) { world in
            // Once at the start, by itself.
            try await until { world.broker.adopter.counts.objects == 24 }
            for site in sites { try await site.put(4, into: memory) }
            #expect(await world.broker.adopter.reconcile())
            #expect(world.broker.adopter.counts.objects == 32)
            let before = world.store.count(.list)
            #expect(await world.broker.adopter.reconcile())
            #expect(world.store.count(.list) - before <= 2 * sites.count + 2)
            #expect(world.highWatermark() == 64)
        }
    }

    @Test("more objects than a page are adopted in one pass")
    func manyPages() async throws {
        let memory = MemoryStore()
        let site = SiteObjects()
        for sequence in UInt64(1)...250 { try await site.put(sequence, into: memory, values: ["\(sequence)"]) }
        try await BrokerWorld.run(memory: memory) { world in
            try await until { world.broker.adopter.counts.objects == 250 }
            let records = try await world.readAll()
            #expect(records.map(\.value) == (1...250).map { "\($0)" })
        }
    }

    @Test("a site may not write to internal topics: the run is kept out, the rest goes on")
    func refusedTopics() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            try await site.put(1, into: world.memory, topic: "__consumer_offsets")
            try await site.put(2, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: site.key(2)).result == .adopted)
            #expect(world.ledger.view.topics().map(\.name) == ["t"])
            #expect(world.broker.status().lanes.map(\.rejectedRuns) == [1])
            #expect(world.ledger.view.quarantinedObjects().map(\.key) == [site.key(1)])
        }
    }

    @Test("a suspended site waits until it is resumed")
    func suspended() async throws {
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            try await site.put(1, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: site.key(1)).result == .adopted)
            _ = try await world.ledger.submit(.setSiteState(SetSiteState(site: "mine", suspended: true, nowMs: 1)))
            // Only now, or the listing of the start might find it.
            try await site.put(2, into: world.memory)
            guard case .quarantined(_, .refused) = await world.broker.adopter.adopt(key: site.key(2)).result else {
                Issue.record("adopted from a suspended site")
                return
            }
            _ = try await world.ledger.submit(.setSiteState(SetSiteState(site: "mine", suspended: false, nowMs: 1)))
            #expect(await world.broker.adopter.adopt(key: site.key(2)).result == .adopted)
        }
    }

    @Test("with full verification a body that rotted is kept out; without it a reader finds out")
    func verification() async throws {
        let site = SiteObjects()
        var body = try site.body(1, values: ["a long enough value"])
        let footer = try ObjectReader.verify(object: body)
        let place = try #require(footer.runs.first).position + 70
        let byte = try #require(body.getInteger(at: place, as: UInt8.self))
        body.setInteger(byte ^ 1, at: place)
        let rotten = body
        let verifying = BrokerWorld.settings { $0.adoption.verifiesRuns = true }
        try await BrokerWorld.run(verifying) { world in
            _ = try await world.memory.put(site.key(1), rotten, ifAbsent: true)
            guard case .quarantined(_, .format) = await world.broker.adopter.adopt(key: site.key(1)).result else {
                Issue.record("adopted")
                return
            }
        }
        try await BrokerWorld.run { world in
            _ = try await world.memory.put(site.key(1), rotten, ifAbsent: true)
            #expect(await world.broker.adopter.adopt(key: site.key(1)).result == .adopted)
            #expect(try await world.fetch(0).errorCode == .kafkaStorageError)
        }
    }

    @Test("a store or a ledger that is away makes the lane wait, and nothing is lost")
    func away() async throws {
        var script = FaultScript()
        script.add(.fail(.denied), on: .head, times: 1)
        try await BrokerWorld.run(script: script) { world in
            let site = SiteObjects()
            try await site.put(1, into: world.memory)
            guard case .busy = await world.broker.adopter.adopt(key: site.key(1)).result else {
                Issue.record("not busy")
                return
            }
            #expect(await world.broker.adopter.adopt(key: site.key(1)).result == .adopted)
        }
    }

    @Test("a long poll is woken by an adoption")
    func wakes() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let site = SiteObjects()
            async let waiting = world.fetch(0, maxWaitMs: 60_000)
            try await until { world.broker.status().waiting == 1 }
            // The broker looks for objects by itself when it starts, and may be first.
            let key = try await site.put(1, into: world.memory)
            _ = await world.broker.adopter.adopt(key: key)
            let answer = try await waiting
            #expect(try Batches.records(answer.records).map(\.value) == ["1.0", "1.1"])
        }
    }
}
