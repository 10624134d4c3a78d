import ObjectStore
import SiteAuthority
import Testing

@testable import Appliance

@Suite("Update machine")
struct UpdateMachineTests {
    static let old = SystemIdentity(version: "1.0", build: "b1", slot: "A", boot: "boot-1")
    static let sha = String(repeating: "ab", count: 32)
    static let order = UpdateOrder(serial: 1, version: "2.0", sizeBytes: 1000, sha256: sha, key: "updates/x/y")

    static func machine(
        _ memory: UpdateMachine.Memory? = nil, running: SystemIdentity = old, fileBytes: Int = 0,
        isSupported: Bool = true
    ) -> UpdateMachine {
        UpdateMachine(memory: memory, running: running, fileBytes: fileBytes, isSupported: isSupported)
    }

    /// Up to the installation under way.
    static func installing() -> UpdateMachine {
        var machine = machine()
        machine.told(order, isPaused: false)
        machine.fetched(1000)
        _ = machine.next(now: .zero)
        machine.hashed(sha)
        _ = machine.next(now: .zero)
        return machine
    }

    @Test("download, check, install, restart, proof: in this order")
    func whole() {
        var machine = Self.machine()
        #expect(machine.next(now: .zero) == .wait && machine.report.state == .none)
        machine.told(Self.order, isPaused: false)
        #expect(machine.next(now: .zero) == .fetch(from: 0))
        machine.fetched(400)
        #expect(machine.report.percent == 40 && machine.report.state == .downloading)
        #expect(machine.next(now: .zero) == .fetch(from: 400))
        machine.fetched(600)
        #expect(machine.next(now: .zero) == .hash)
        machine.hashed(Self.sha)
        #expect(machine.report.state == .verified)
        #expect(machine.next(now: .zero) == .install && machine.report.state == .installing)
        machine.installEnded(.done, now: .zero)
        #expect(machine.report.state == .awaitingReboot && machine.next(now: .zero) == .discard)
        machine.discarded()
        #expect(machine.next(now: .zero) == .wait)
        // The gateway alone starts again: the machine did not.
        var again = Self.machine(machine.memory)
        #expect(again.report.state == .awaitingReboot)
        again.told(Self.order, isPaused: false)
        #expect(again.next(now: .zero) == .wait)
        let new = SystemIdentity(version: "2.0", build: "b2", slot: "B", boot: "boot-2")
        var trial = Self.machine(again.memory, running: new)
        #expect(trial.report.state == .trial && trial.report.version == "2.0")
        trial.provedHealthy()
        #expect(trial.report.state == .confirmed && trial.next(now: .zero) == .wait)
    }

    @Test("a machine that came back as it was has rolled back, and does not try the same order again")
    func rolledBack() {
        var machine = Self.installing()
        machine.installEnded(.done, now: .zero)
        var back = Self.old
        back.boot = "boot-5"
        var after = Self.machine(machine.memory, running: back)
        #expect(after.report.state == .rolledBack && after.report.reason == "the machine runs 1.0 (b1) again")
        after.told(Self.order, isPaused: false)
        #expect(after.next(now: .zero) == .wait)
        var restarted = Self.machine(after.memory, running: back)
        restarted.told(Self.order, isPaused: false)
        #expect(restarted.next(now: .zero) == .wait && restarted.report.state == .rolledBack)
        var another = Self.order
        another.serial = 9
        restarted.told(another, isPaused: false)
        #expect(restarted.next(now: .zero) == .fetch(from: 0))
    }

    @Test("a trial that goes back, also after it was confirmed, is told")
    func lateRollback() {
        var machine = Self.installing()
        machine.installEnded(.done, now: .zero)
        let new = SystemIdentity(version: "2.0", build: "b2", slot: "B", boot: "boot-2")
        var back = Self.old
        back.boot = "boot-3"
        var trial = Self.machine(machine.memory, running: new)
        #expect(Self.machine(trial.memory, running: back).report.state == .rolledBack)
        trial.provedHealthy()
        #expect(Self.machine(trial.memory, running: back).report.state == .rolledBack)
        let third = SystemIdentity(version: "3.0", build: "b3", slot: "A", boot: "boot-4")
        #expect(Self.machine(trial.memory, running: third).report.state == .failed)
    }

    @Test("another image than the one that was named is a failure that says so")
    func misnamed() {
        var machine = Self.installing()
        machine.installEnded(.done, now: .zero)
        let other = SystemIdentity(version: "2.1", build: "b9", slot: "B", boot: "boot-2")
        let report = Self.machine(machine.memory, running: other).report
        #expect(report.state == .failed && report.reason == "the machine runs 2.1 (b9), which is not 2.0")
    }

    @Test("wrong bytes fail at once; after a restart they are fetched once more first")
    func wrongBytes() {
        var fresh = Self.machine()
        fresh.told(Self.order, isPaused: false)
        fresh.fetched(1000)
        #expect(fresh.next(now: .zero) == .hash)
        fresh.hashed("00")
        #expect(fresh.report.state == .failed && fresh.next(now: .zero) == .discard)
        var memory = UpdateMachine.Memory()
        memory.order = Self.order
        memory.phase = .downloading
        var inherited = Self.machine(memory, fileBytes: 1000)
        #expect(inherited.next(now: .zero) == .hash)
        inherited.hashed("00")
        #expect(inherited.next(now: .zero) == .discard)
        inherited.discarded()
        #expect(inherited.next(now: .zero) == .fetch(from: 0))
        inherited.fetched(1000)
        #expect(inherited.next(now: .zero) == .hash)
        inherited.hashed("00")
        #expect(inherited.report.state == .failed)
    }

    @Test("failures are waited out, longer each time, and bytes that are there stay")
    func backoff() {
        var random = SystemRandomNumberGenerator()
        var machine = Self.machine()
        machine.told(Self.order, isPaused: false)
        machine.fetched(300)
        for attempt in 1...30 {
            machine.fetchFailed("no route", now: .zero, using: &random)
            guard case .rest(let until) = machine.next(now: .zero) else {
                #expect(machine.next(now: .zero) == .fetch(from: 300))
                continue
            }
            #expect(until <= min(.seconds(5) * (1 << min(attempt - 1, 20)), .seconds(600)))
            #expect(machine.next(now: until) == .fetch(from: 300))
        }
        #expect(machine.report.reason == "no route")
        machine.fetchFailed("busy", retryAfter: .seconds(86_400), now: .zero, using: &random)
        guard case .rest(let until) = machine.next(now: .zero) else { return #expect(Bool(false), "no rest") }
        #expect(until >= .seconds(3600) && until <= .seconds(4200))
        machine.fetched(10)
        #expect(machine.report.reason == nil)
        machine.spaceShort("no room", now: .seconds(10))
        #expect(machine.next(now: .seconds(10)) == .rest(until: .seconds(310)))
    }

    @Test("another order in the middle takes the place of the first; what is under way is finished")
    func changed() {
        var machine = Self.machine()
        machine.told(Self.order, isPaused: false)
        machine.fetched(300)
        // The same bundle under another serial goes on.
        var renewed = Self.order
        renewed.serial = 2
        machine.told(renewed, isPaused: false)
        #expect(machine.next(now: .zero) == .fetch(from: 300) && machine.report.serial == 2)
        let other = UpdateOrder(
            serial: 3, version: "3.0", sizeBytes: 2000, sha256: String(repeating: "cd", count: 32), key: "updates/z")
        machine.told(other, isPaused: false)
        #expect(machine.next(now: .zero) == .discard)
        machine.discarded()
        #expect(machine.next(now: .zero) == .fetch(from: 0) && machine.report.target == "3.0")
        machine.told(nil, isPaused: false)
        #expect(machine.report.state == .none)
        var busy = Self.installing()
        busy.told(other, isPaused: false)
        #expect(busy.report.target == "2.0" && busy.report.state == .installing)
        busy.installEnded(.done, now: .zero)
        busy.told(other, isPaused: false)
        #expect(busy.report.target == "3.0" && busy.report.state == .downloading)
        var done = Self.installing()
        done.installEnded(.done, now: .zero)
        done.told(nil, isPaused: false)
        #expect(done.report.state == .awaitingReboot)
    }

    @Test("a pause stops download and installation, and nothing else")
    func paused() {
        var machine = Self.machine()
        machine.told(Self.order, isPaused: true)
        #expect(machine.next(now: .zero) == .wait && machine.report.state == .paused)
        machine.told(Self.order, isPaused: false)
        machine.fetched(1000)
        _ = machine.next(now: .zero)
        machine.hashed(Self.sha)
        machine.told(Self.order, isPaused: true)
        #expect(machine.next(now: .zero) == .wait)
        machine.told(Self.order, isPaused: false)
        #expect(machine.next(now: .zero) == .install)
    }

    @Test("without an install command it says so and downloads nothing")
    func unsupported() {
        var machine = Self.machine(isSupported: false)
        machine.told(Self.order, isPaused: false)
        #expect(machine.next(now: .zero) == .wait && machine.report.state == .unsupported)
        #expect(machine.wanted == nil)
    }

    @Test("what runs already, by version or build, is not installed")
    func current() {
        for name in ["1.0", "b1"] {
            var machine = Self.machine()
            var order = Self.order
            order.version = name
            machine.told(order, isPaused: false)
            #expect(machine.next(now: .zero) == .wait && machine.report.state == .confirmed)
        }
    }

    @Test("an installation that ends the process is repeated, three times at most")
    func interrupted() {
        var machine = Self.installing()
        machine.installEnded(.interrupted, now: .zero)
        for _ in 2...UpdateMachine.installsMax {
            machine = Self.machine(machine.memory, fileBytes: 1000)
            #expect(machine.next(now: .zero) == .hash)
            machine.hashed(Self.sha)
            #expect(machine.next(now: .zero) == .install)
        }
        machine = Self.machine(machine.memory, fileBytes: 1000)
        #expect(machine.report.state == .failed && machine.next(now: .zero) == .discard)
        // The command may have started the machine before it ended.
        let new = SystemIdentity(version: "2.0", build: "b2", slot: "B", boot: "boot-2")
        #expect(Self.machine(Self.installing().memory, running: new).report.state == .trial)
    }

    @Test("an installation that comes too early is repeated later, and counts for nothing")
    func later() {
        var machine = Self.installing()
        for _ in 0..<10 {
            machine.installEnded(.later("on trial itself"), now: .zero)
            #expect(machine.report.state == .verified && machine.report.reason == "on trial itself")
            #expect(machine.next(now: .zero) == .rest(until: .seconds(300)))
            #expect(machine.next(now: .seconds(300)) == .install)
        }
    }

    @Test("a refused bundle is told with the reason and not tried again")
    func refused() {
        var machine = Self.installing()
        machine.installEnded(.refused("signature verification failed"), now: .zero)
        #expect(machine.report.state == .failed && machine.report.reason == "signature verification failed")
        #expect(machine.next(now: .zero) == .discard)
        machine.discarded()
        machine.told(Self.order, isPaused: false)
        #expect(machine.next(now: .zero) == .wait)
    }

    @Test("crashes at any step, wrong bytes, changed orders: it ends, with bounded work and truth", arguments: 0..<300)
    func seeds(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var world = SimulatedUpdate(random: &random)
        for _ in 0..<3000 where world.step(using: &random) {}
        world.settle(using: &random)
        let report = world.machine.report
        // Nothing was told wrong: what it says of the image is what runs.
        #expect(report.version == world.running.version, "seed \(seed)")
        #expect([.confirmed, .failed, .rolledBack, .none].contains(report.state), "seed \(seed): \(report.line)")
        #expect(world.mostInstalls <= UpdateMachine.installsMax, "seed \(seed)")
        if report.state == .confirmed { #expect(world.running.isNamed(report.target ?? ""), "seed \(seed)") }
        if report.state == .rolledBack { #expect(!world.running.isNamed(report.target ?? ""), "seed \(seed)") }
        #expect(!world.hasInstalledWrongBytes, "seed \(seed)")
    }
}

@Suite("Proof of an image")
struct ConfirmationTests {
    static let good = Confirmation.Facts(
        isAccepting: true, commits: 3, pendingBytes: 0, isStartCounted: true, isUplinkOn: true, uploadedObjects: 1,
        hasBacklog: true, hasReachedCloud: false)

    @Test("accepting, writing and uploading are needed, each by itself")
    func each() {
        #expect(Confirmation(Self.good).isConfirmable)
        var facts = Self.good
        facts.isAccepting = false
        #expect(Confirmation(facts).reasons.count == 1)
        facts = Self.good
        (facts.commits, facts.pendingBytes) = (0, 10)
        #expect(!Confirmation(facts).isConfirmable)
        facts = Self.good
        facts.uploadedObjects = 0
        facts.hasReachedCloud = true
        #expect(!Confirmation(facts).isConfirmable, "data waits: an answer is not enough")
    }

    @Test("where terminals send nothing, an answer and a start on the disk will do")
    func quiet() {
        var facts = Self.good
        (facts.commits, facts.uploadedObjects, facts.hasBacklog) = (0, 0, false)
        #expect(!Confirmation(facts).isConfirmable)
        facts.hasReachedCloud = true
        #expect(Confirmation(facts).isConfirmable)
        facts.isStartCounted = false
        #expect(!Confirmation(facts).isConfirmable)
        (facts.isUplinkOn, facts.isStartCounted, facts.hasReachedCloud) = (false, true, false)
        #expect(Confirmation(facts).isConfirmable)
    }
}

@Suite("Rollout")
struct RolloutTests {
    @Test("a larger share contains the smaller one, and is about as large as it says")
    func shares() {
        let sites = (0..<2000).map { "SITE-\($0)" }
        let sha = String(repeating: "ab", count: 32)
        let places = sites.map { SiteUpdateCommand.place($0, sha) }
        #expect(places.allSatisfy { (0..<100).contains($0) })
        for percent in [5, 25, 50] {
            let count = places.count { $0 < percent }
            #expect(abs(count - 20 * percent) < 120, "\(percent)%: \(count)")
        }
        #expect(places != sites.map { SiteUpdateCommand.place($0, String(repeating: "cd", count: 32)) })
    }
}
