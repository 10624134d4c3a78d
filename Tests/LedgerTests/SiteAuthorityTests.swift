import KafkaProtocol
import NIOCore
import Testing

@testable import Ledger

/// Promises 11 (zombies are fenced, where the commit is decided) and 13 (a site writes only what it may).
@Suite("What sites may do") struct SiteRegistrationTests {
    private let gnss = NewTopic(name: "gnss", id: topicID(1), partitionCount: 2)

    private func key(_ generation: UInt32, expiresMs: Int64 = 0) -> SiteRegistration.Key {
        .init(generation: generation, salt: "s\(generation)", fingerprint: "f", createdMs: 0, expiresMs: expiresMs)
    }

    private func set(_ registration: SiteRegistration) -> LedgerCommand {
        .setSiteRegistration(SetSiteRegistration(site: "pier", registration: registration, nowMs: 50))
    }

    private func boot(_ number: UInt64, _ nonce: String, address: String = "a", incarnation: String = "i1")
        -> LedgerCommand
    {
        .noteSiteBoot(
            NoteSiteBoot(
                site: "pier", incarnation: incarnation,
                boot: SiteBoot(number: number, nonce: nonce, address: address, seenMs: 60), nowMs: 60))
    }

    @Test("a change made from an older version is refused: nobody overwrites what he has not seen")
    func versions() throws {
        var state = LedgerState()
        var registration = SiteRegistration(topics: ["*"], keys: [key(1)], nowMs: 10)
        try state.submit(set(registration))
        #expect(state.refusal(of: set(registration)) == .siteChanged(site: "pier", version: 1))
        registration.direct(["log.level": "debug"], nowMs: 20)
        try state.submit(set(registration))
        #expect(state.sites.registrations["pier"]?.directivesVersion == 2)
        #expect(state.refusal(of: set(registration)) == .siteChanged(site: "pier", version: 2))
    }

    @Test("rotation: the old key lives on for the overlap, the shorter end wins, and what is over goes")
    func rotation() {
        var registration = SiteRegistration(topics: ["*"], keys: [key(1), key(2, expiresMs: 100)], nowMs: 10)
        registration.rotate(to: key(3), overlapMs: 500, nowMs: 50)
        #expect(registration.keys.map(\.generation) == [1, 2, 3])
        #expect(registration.keys.map(\.expiresMs) == [550, 100, 0])
        registration.rotate(to: key(4), overlapMs: .max, nowMs: 200)
        #expect(registration.keys.map(\.generation) == [1, 3, 4])
        #expect(registration.keys.map(\.expiresMs) == [550, .max, 0])
        #expect(registration.keys[0].isValid(nowMs: 549))
        #expect(!registration.keys[0].isValid(nowMs: 550))
        for generation in 5..<40 as Range<UInt32> {
            registration.rotate(to: key(generation), overlapMs: .max, nowMs: 200)
        }
        #expect(registration.keys.count == SiteRegistration.keysMax)
        #expect(registration.version == 38)
    }

    @Test(
        "patterns",
        arguments: [
            ("gnss.*", "gnss.rtcm", true), ("gnss.*", "gnss", false), ("gnss", "gnss", true),
            ("gnss", "gnss.rtcm", false),
            ("*", "anything", true), ("", "x", false),
        ])
    func patterns(_ pattern: String, _ topic: String, _ fits: Bool) {
        #expect(SiteRegistration.pattern(pattern, matches: topic) == fits)
    }

    @Test("an object with one forbidden topic is refused whole, and adopted once it is allowed")
    func topics() throws {
        var state = LedgerState()
        var registration = SiteRegistration(topics: ["gnss"], lanes: ["standard"], keys: [key(1)], nowMs: 10)
        try state.submit(set(registration))
        let mixed = adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss"), siteRun("secret", at: 100))
        #expect(state.refusal(of: mixed) == .topicNotAllowed(site: "pier", topic: "secret"))
        #expect(
            state.refusal(of: adoption(1, lsn: 1...10, lane: "bulk", siteRun("gnss")))
                == .laneNotAllowed(site: "pier", lane: "bulk"))
        #expect(state.topics.all.isEmpty)
        registration.topics.append("sec*")
        registration.change(nowMs: 20)
        try state.submit(set(registration))
        #expect(state.refusal(of: mixed) == nil)
    }

    @Test("nothing of a revoked site is adopted, and its gateways hold nothing any more")
    func revoked() throws {
        var state = LedgerState()
        var registration = SiteRegistration(topics: ["*"], keys: [key(1)], nowMs: 10)
        try state.submit(set(registration))
        try state.submit(adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss")))
        registration.revoke(nowMs: 20)
        try state.submit(set(registration))
        #expect(state.refusal(of: adoption(2, lsn: 11...20, siteRun("gnss"))) == .siteRevoked(site: "pier"))
        #expect(state.refusal(of: boot(1, "x")) == .siteRevoked(site: "pier"))
        // What was adopted before stays, and a retry of it gets its answer only while the site is there.
        #expect(state.watermarks() == [0, 10])
    }

    @Test("one incarnation, one start: a copy and a disk set back are told so, whichever comes first")
    func boots() throws {
        var state = LedgerState()
        #expect(try state.submit(boot(3, "original")) == .boot(.held))
        #expect(try state.decide(boot(3, "original")).records.count == 0)
        // A copy of the disk counts its first start as the same number, but is another process.
        let held = SiteBoot(number: 3, nonce: "original", address: "a", seenMs: 60)
        #expect(try state.submit(boot(3, "copy", address: "b")) == .boot(.contested(holder: held)))
        #expect(try state.decide(boot(3, "copy", address: "b")).records.isEmpty)
        #expect(state.sites.all["pier"]?.incarnations["i1"]?.contender?.address == "b")
        // Set back to an older image.
        #expect(try state.submit(boot(2, "older", address: "c")) == .boot(.contested(holder: held)))
        // A restart goes on; the process before it is over.
        #expect(try state.submit(boot(4, "restarted")) == .boot(.held))
        guard case .boot(.contested) = try state.submit(boot(3, "original")) else {
            Issue.record("the former start still holds")
            return
        }
        // Another installation is another matter.
        #expect(try state.submit(boot(1, "copy", incarnation: "i2")) == .boot(.held))
        // A new address of the same start is no contest.
        #expect(try state.submit(boot(4, "restarted", address: "z")) == .boot(.held))
        #expect(state.sites.all["pier"]?.incarnations["i1"]?.boot?.address == "z")
    }

    @Test("an installation that goes on under a new incarnation brings no gap; a wiped disk's hole is one")
    func goingOn() throws {
        var state = LedgerState()
        try state.submit(adoption(1, lsn: 1...80, creating: [gnss], siteRun("gnss")))
        try state.submit(adoption(1, lsn: 81...90, incarnation: "i2", siteRun("gnss")))
        #expect(state.sites.lane("pier", "i2", "standard")?.gapCount == 0)
        try state.submit(adoption(1, lsn: 95...99, incarnation: "i3", siteRun("gnss")))
        let lane = state.sites.lane("pier", "i3", "standard")
        #expect(lane?.recentGaps.map { [$0.firstLSN, $0.lastLSN] } == [[91, 94]])
        #expect(lane?.missingLSNs == 4)
        #expect(lane?.lastLSN == 99)
        // An overlap with a former incarnation is allowed: what a copy had not uploaded yet is uploaded by both.
        try state.submit(adoption(1, lsn: 70...99, incarnation: "i4", siteRun("gnss")))
        #expect(state.sites.lane("pier", "i4", "standard")?.gapCount == 0)
    }

    @Test("limits: a registration is no place for a flood")
    func limits() {
        let state = LedgerState()
        let many = SiteRegistration(
            topics: (0...SiteRegistration.patternsMax).map { "t\($0)" }, keys: [], nowMs: 1)
        #expect(state.refusal(of: set(many)) != nil)
        var wordy = SiteRegistration(topics: ["*"], keys: [], nowMs: 1)
        wordy.directives = ["a": String(repeating: "x", count: 5_000)]
        #expect(state.refusal(of: set(wordy)) != nil)
        #expect(state.refusal(of: boot(1, String(repeating: "n", count: 65))) != nil)
    }

    @Test(
        "random starts of copies: exactly one holds, and two states fed alike stay alike",
        arguments: 0..<40 as Range<UInt64>)
    func randomBoots(seed: UInt64) throws {
        struct Disk {
            var boot: UInt64
            var nonce: String
        }
        var random = SeededRandom(seed: seed)
        var state = LedgerState()
        var reopened = LedgerState()
        var disks = [Disk(boot: 1, nonce: "0")]
        var registration = SiteRegistration(topics: ["*"], keys: [key(1)], nowMs: 10)
        for step in 1...200 {
            let index = Int.random(in: 0..<disks.count, using: &random)
            var commands: [LedgerCommand] = []
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where disks.count < 5: disks.append(disks[index])  // copied while it runs
            case 1, 2:
                disks[index].boot += 1
                disks[index].nonce = "\(step)"
            case 3:
                commands = [set(registration)]
                registration.change(nowMs: Int64(step))
            default: commands = [boot(disks[index].boot, disks[index].nonce, address: "disk \(index)")]
            }
            for command in commands {
                let answer = try state.submit(command)
                _ = try reopened.submit(command)
                guard case .boot(let outcome) = answer else { continue }
                let holder = try #require(state.sites.all["pier"]?.incarnations["i1"]?.boot)
                let asked = disks[index]
                let holds = holder.number == asked.boot && holder.nonce == asked.nonce
                #expect((outcome == .held) == holds, "seed \(seed) step \(step)")
                #expect(holder.number >= asked.boot, "seed \(seed) step \(step)")
            }
            if step % 20 == 0 { reopened = try LedgerState(decodingSnapshot: reopened.encodedSnapshot()) }
        }
        #expect(state.encodedSnapshot() == reopened.encodedSnapshot(), "seed \(seed)")
    }

    @Test("snapshots of format versions 2 and 3 have no registrations and cannot hold any")
    func formatVersion2() throws {
        let former = try richState(scale: 1)
        let body = try #require(
            former.encodedSnapshot().getBytes(at: 12, length: former.encodedSnapshot().readableBytes - 12))
        // No registrations, no starts, no lanes with gaps.
        #expect(body.suffix(3) == [0, 0, 0])
        for version in [2, 3] as [UInt16] {
            let old = LedgerFrame.snapshot.wrap(Array(body.dropLast(3)), version: version)
            #expect(try LedgerState(decodingSnapshot: old).encodedSnapshot() == former.encodedSnapshot())
            #expect(throws: LedgerFormatError.self) {
                try LedgerState(decodingSnapshot: LedgerFrame.snapshot.wrap(body, version: version))
            }
        }
    }

    @Test("every cut of a snapshot with registrations and boots is an error")
    func cuts() throws {
        var state = try LedgerState.withTopic()
        var registration = sampleRegistration
        registration.isRevoked = false
        try state.submit(set(registration))
        try state.submit(boot(3, "n"))
        try state.submit(boot(2, "m"))
        let whole = state.encodedSnapshot()
        #expect(try LedgerState(decodingSnapshot: whole).encodedSnapshot() == whole)
        let body = try #require(whole.getBytes(at: 12, length: whole.readableBytes - 12))
        for length in 0..<body.count {
            #expect(throws: LedgerFormatError.self) {
                try LedgerState(decodingSnapshot: LedgerFrame.snapshot.wrap(Array(body.prefix(length))))
            }
        }
    }
}
