import FoundationEssentials
import Ledger
import NIOCore
import SharedObject
import SiteAuthority
import Testing

@testable import Cloud

/// Promises 11 and 13 at the cloud node.
@Suite("Sites and what they may do", .timeLimit(.minutes(1)))
struct SiteRegistryTests {
    private static let incarnation = SiteObjects.incarnation
    private let body = ByteBuffer(string: "{}")

    private func run(
        isOpen: Bool = true, _ work: @Sendable @escaping (BrokerWorld, SiteRegistry) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "cairn-sites-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let settings = BrokerWorld.settings {
            $0.sites.isOpen = isOpen
            $0.sites.masterKeyFile = directory.path + "/master.key"
        }
        try await BrokerWorld.run(settings) { world in try await work(world, world.broker.sites) }
    }

    private func signature(
        _ key: SiteKey, site: String = "mine", challenge: String = "", counter: UInt64 = 1
    ) -> AnnounceSignature {
        AnnounceSignature(
            method: "POST", path: "/v1/announce", site: site, incarnation: Self.incarnation,
            generation: key.generation, challenge: challenge, nonce: String(repeating: "b", count: 32),
            counter: counter)
    }

    private func admit(
        _ sites: SiteRegistry, _ key: SiteKey, challenge: String = "", counter: UInt64 = 1
    ) -> SiteAdmission {
        let signature = signature(key, challenge: challenge, counter: counter)
        return sites.admit(
            site: "mine", signature: signature, code: signature.code(key, body: body), body: body)
    }

    private func challenge(_ admission: SiteAdmission) -> String? {
        if case .denied(.challenge(let challenge), _) = admission { challenge } else { nil }
    }

    private func denial(_ admission: SiteAdmission) -> SiteDenial? {
        if case .denied(let denial, _) = admission { denial } else { nil }
    }

    @Test("a registered site must sign; a wrong code, a stranger's key, a replay and a revoked site are told apart")
    func doors() async throws {
        try await run { world, sites in
            #expect(sites.admit(site: "mine", signature: nil, code: nil, body: body) == .open)
            let key = try await sites.add(site: "mine", topics: ["t"], lanes: [])
            #expect(denial(sites.admit(site: "mine", signature: nil, code: nil, body: body)) == .unsigned)
            let first = admit(sites, key, counter: 1)
            let challenge = try #require(self.challenge(first))
            guard case .signed = admit(sites, key, challenge: challenge, counter: 2) else {
                Issue.record("not admitted")
                return
            }
            #expect(denial(admit(sites, key, challenge: challenge, counter: 2)) == .replay)
            let signed = signature(key, challenge: challenge, counter: 3)
            let code = signed.code(key, body: body)
            let changed = ByteBuffer(string: "{ }")
            #expect(denial(sites.admit(site: "mine", signature: signed, code: code, body: changed)) == .wrongCode)
            #expect(denial(sites.admit(site: "other", signature: signed, code: code, body: body)) == .notRegistered)
            let other = try await sites.add(site: "other", topics: ["t"], lanes: [])
            let forged = signature(other, challenge: challenge, counter: 4)
            #expect(
                denial(sites.admit(site: "mine", signature: forged, code: forged.code(other, body: body), body: body))
                    == .wrongCode)
            // The forgeries have used up no counter.
            guard case .signed = admit(sites, key, challenge: challenge, counter: 3) else {
                Issue.record("not admitted after forgeries")
                return
            }
            try await sites.revoke(site: "mine")
            #expect(denial(admit(sites, key, challenge: challenge, counter: 5)) == .revoked)
            #expect(sites.refusedCounts["replay"] == 1)
            await #expect(throws: SiteFailure.revoked("mine")) { try await sites.rotate(site: "mine", overlapMs: 0) }
            // Registered again, it has another key: the old one opens nothing.
            let again = try await sites.add(site: "mine", topics: ["t"], lanes: [])
            #expect(again != key)
            #expect(denial(admit(sites, key, challenge: challenge, counter: 6)) == .keyOver(generation: 1))
        }
    }

    @Test("rotation: both keys until the overlap is over, then only the new one")
    func rotation() async throws {
        try await run { world, sites in
            let old = try await sites.add(site: "mine", topics: ["t"], lanes: [])
            let new = try await sites.rotate(site: "mine", overlapMs: 60_000)
            #expect(challenge(admit(sites, old)) != nil)
            #expect(challenge(admit(sites, new)) != nil)
            world.wall.pass(60_001)
            #expect(denial(admit(sites, old)) == .keyOver(generation: 1))
            #expect(challenge(admit(sites, new)) != nil)
        }
    }

    @Test("a node with another master key says so and admits nobody")
    func otherMaster() async throws {
        try await run { world, sites in
            let key = try await sites.add(site: "mine", topics: ["t"], lanes: [])
            let stranger = SiteRegistry(
                settings: {
                    var settings = SiteSettings()
                    settings.masterKeyFile = world.broker.configuration.sites.masterKeyFile! + ".other"
                    return settings
                }(), ledger: world.ledger, adopter: world.broker.adopter, world: CloudWorld(), logger: sites.logger)
            #expect(denial(admit(stranger, key)) == .noMasterKey)
            _ = try await stranger.add(site: "another", topics: ["t"], lanes: [])
            #expect(denial(admit(stranger, key)) == .noMasterKey)
        }
    }

    @Test(
        "promise 13: an object with a topic that is not allowed is set aside whole, others go on, and a grant heals it")
    func topics() async throws {
        try await run { world, sites in
            _ = try await sites.add(site: "mine", topics: ["t", "u.*"], lanes: ["standard"])
            let site = SiteObjects()
            try await site.put(1, into: world.memory)
            let forbidden = try await site.put(2, into: world.memory, topic: "secret")
            try await site.put(3, into: world.memory)
            let neighbour = try await SiteObjects(site: "other").put(1, into: world.memory)
            let report = await world.broker.adopter.adopt(key: site.key(3))
            #expect(report.result == .quarantined(key: forbidden, .topicNotAllowed("secret")))
            #expect(report.adoptedSequence == 1)
            #expect(await world.broker.adopter.adopt(key: neighbour).result == .adopted)
            let bulk = try await SiteObjects(lane: "bulk").put(1, into: world.memory)
            #expect(
                await world.broker.adopter.adopt(key: bulk).result == .quarantined(key: bulk, .laneNotAllowed))
            let shown = try #require(sites.overview().first { $0.site == "mine" })
            #expect(shown.progress.contains { $0.quarantined == forbidden && $0.reason?.contains("secret") == true })
            #expect(world.broker.status().problems.contains { $0.contains(forbidden) })
            try await sites.grant(site: "mine", topics: ["t", "secret"], lanes: nil)
            // The grant itself looked again.
            #expect(
                world.broker.adopter.nextSequence(.init(site: "mine", incarnation: Self.incarnation, lane: "standard"))
                    == 3)
            #expect(await world.broker.adopter.adopt(key: site.key(3)).adoptedSequence == 3)
        }
    }

    @Test("closed: what nobody registered is not adopted, neither announced nor found by listing")
    func closed() async throws {
        try await run(isOpen: false) { world, sites in
            #expect(denial(sites.admit(site: "mine", signature: nil, code: nil, body: body)) == .notRegistered)
            let key = try await SiteObjects().put(1, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: key).result == .quarantined(key: key, .unregistered))
            await world.broker.adopter.reconcile()
            #expect(world.broker.adopter.counts.objects == 0)
            _ = try await sites.add(site: "mine", topics: ["*"], lanes: [])
            #expect(world.broker.adopter.counts.objects == 1)
        }
    }

    @Test("revoked: nothing more is adopted, whoever asks")
    func revoked() async throws {
        try await run { world, sites in
            _ = try await sites.add(site: "mine", topics: ["*"], lanes: [])
            let site = SiteObjects()
            try await site.put(1, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: site.key(1)).result == .adopted)
            try await sites.revoke(site: "mine")
            let second = try await site.put(2, into: world.memory)
            #expect(await world.broker.adopter.adopt(key: second).result == .quarantined(key: second, .revoked))
            await world.broker.adopter.reconcile()
            #expect(world.broker.adopter.counts.objects == 1)
        }
    }

    @Test("two gateways with one identity: the second is refused, and both addresses are shown")
    func clones() async throws {
        try await run { world, sites in
            func note(_ boot: UInt64, _ nonce: String, _ peer: String) async throws -> BootOutcome {
                try await sites.note(
                    site: "mine", incarnation: Self.incarnation,
                    report: GatewayStatement(boot: boot, nonce: nonce, host: "gw"), peer: peer)
            }
            #expect(try await note(5, "a", "10.0.0.1") == .held)
            guard case .contested(let holder) = try await note(5, "b", "10.0.0.2") else {
                Issue.record("a copy was taken for the original")
                return
            }
            #expect(holder.address == "gw at 10.0.0.1")
            let clone = try #require(sites.overview().first { $0.site == "mine" }?.clones.first)
            #expect(clone.holder == "gw at 10.0.0.1")
            #expect(clone.refused == "gw at 10.0.0.2")
            #expect(try await note(6, "c", "10.0.0.1") == .held)
        }
    }

    @Test("fifty administrators at once: every change is made from what was seen, none is lost")
    func concurrent() async throws {
        try await run { world, sites in
            _ = try await sites.add(site: "mine", topics: ["*"], lanes: [])
            let done = await withTaskGroup(of: Int.self) { group in
                for index in 0..<50 {
                    group.addTask {
                        do throws(SiteFailure) {
                            try await sites.direct(site: "mine", ["topics.t\(index).partitions": "2"])
                            return 1
                        } catch {
                            if error != .conflict("mine") { Issue.record("\(error)") }
                            return 0
                        }
                    }
                }
                return await group.reduce(0, +)
            }
            let registration = try #require(world.ledger.view.registration("mine"))
            #expect(registration.directives.count == done)
            #expect(registration.version == UInt64(done) + 1)
            await #expect(throws: SiteFailure.self) {
                try await sites.direct(site: "mine", ["log.level": "deafening"])
            }
        }
    }
}
