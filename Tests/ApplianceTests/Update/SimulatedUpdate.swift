import SiteAuthority

@testable import Appliance

struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    /// xorshift64*.
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_F491_4F6C_DD1D
    }
}

/// A machine with two slots, a disk that may lose what was not synced, a cloud that changes its mind: all by seed.
struct SimulatedUpdate {
    var machine: UpdateMachine
    var running: SystemIdentity
    /// Durable: what a crash leaves.
    private var saved: UpdateMachine.Memory?
    private var fileBytes = 0
    private var isFileGood = true
    private var told: UpdateOrder?
    private var isPaused = false
    private var serial: UInt64 = 1
    private var boots = 1
    /// Installed, and started next.
    private var pending: SystemIdentity?
    private var now = Duration.zero
    private var installs: [UInt64: Int] = [:]
    private(set) var hasInstalledWrongBytes = false
    var mostInstalls: Int { installs.values.max() ?? 0 }

    init(random: inout SeededRandom) {
        running = SystemIdentity(version: "1.0", build: "b1", slot: "A", boot: "boot-1")
        machine = UpdateMachine(memory: nil, running: running, fileBytes: 0, isSupported: true)
        order(using: &random)
    }

    private mutating func order(using random: inout SeededRandom) {
        serial += 1
        let version = ["2.0", "3.0"].randomElement(using: &random) ?? "2.0"
        let digit = version == "2.0" ? "ab" : "cd"
        told = UpdateOrder(
            serial: serial, version: version, sizeBytes: 1000, sha256: String(repeating: digit, count: 32),
            key: "updates/\(version)")
    }

    /// One turn of the driver, with something that goes wrong now and then. True: go on.
    mutating func step(using random: inout SeededRandom) -> Bool {
        now += .seconds(1)
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<4: order(using: &random)
        case 4..<6: told = nil
        case 6..<10: isPaused.toggle()
        case 10..<25: crash(isPowerCut: Bool.random(using: &random), using: &random)
        default: break
        }
        turn(using: &random)
        return true
    }

    /// Nothing goes wrong any more.
    mutating func settle(using random: inout SeededRandom) {
        isPaused = false
        for _ in 0..<2000 {
            now += .seconds(60)
            turn(using: &random, isCalm: true)
            if machine.memory.phase == .awaitingReboot { crash(isPowerCut: false, isReboot: true, using: &random) }
        }
    }

    private mutating func turn(using random: inout SeededRandom, isCalm: Bool = false) {
        machine.told(told, isPaused: isPaused)
        if machine.memory.phase == .trial { machine.provedHealthy() }
        let action = machine.next(now: now)
        saved = machine.memory
        // A crash between the memory and the act.
        if !isCalm, Int.random(in: 0..<200, using: &random) == 0 { return crash(isPowerCut: true, using: &random) }
        switch action {
        case .wait, .rest: break
        case .discard:
            (fileBytes, isFileGood) = (0, true)
            machine.discarded()
        case .fetch(let offset):
            precondition(offset == fileBytes, "asks for \(offset), the file has \(fileBytes)")
            if !isCalm, Int.random(in: 0..<4, using: &random) == 0 {
                return machine.fetchFailed("no route", now: now, using: &random)
            }
            let count = min(Int.random(in: 1...400, using: &random), 1000 - offset)
            if !isCalm, Int.random(in: 0..<60, using: &random) == 0 { isFileGood = false }
            fileBytes += count
            machine.fetched(count)
        case .hash: machine.hashed(isFileGood ? machine.memory.order?.sha256 ?? "" : "wrong")
        case .install: install(using: &random, isCalm: isCalm)
        }
    }

    private mutating func install(using random: inout SeededRandom, isCalm: Bool) {
        guard let order = machine.memory.order else { return }
        if !isFileGood { hasInstalledWrongBytes = true }
        installs[order.serial, default: 0] += 1
        let fate = isCalm ? 0 : Int.random(in: 0..<7, using: &random)
        if fate == 6 {
            installs[order.serial, default: 0] -= 1
            return machine.installEnded(.later("on trial"), now: now)
        }
        guard fate < 5 else { return machine.installEnded(.refused("signature"), now: now) }
        let slot = running.slot == "A" ? "B" : "A"
        pending = SystemIdentity(version: order.version, build: "b" + order.version, slot: slot, boot: nil)
        // The machine may start again before the command could say that it is done.
        if fate == 4 { return crash(isPowerCut: false, isReboot: true, using: &random) }
        machine.installEnded(.done, now: now)
        saved = machine.memory
    }

    /// The process ends; with a power cut or a restart, the machine too, and then a new image may fail its trial.
    private mutating func crash(isPowerCut: Bool, isReboot: Bool = false, using random: inout SeededRandom) {
        if isPowerCut || isReboot {
            boots += 1
            if let pending, Int.random(in: 0..<3, using: &random) > 0 { running = pending }
            pending = nil
            running.boot = "boot-\(boots)"
        }
        // As long as it was, and yet not what was written.
        if isPowerCut, fileBytes > 0, Int.random(in: 0..<3, using: &random) == 0 { isFileGood = false }
        if let order = saved?.order, order.sha256 != machine.memory.order?.sha256 {
            (fileBytes, isFileGood) = (0, true)
        }
        machine = UpdateMachine(memory: saved, running: running, fileBytes: fileBytes, isSupported: true)
    }
}
