import ObjectStore
import SiteAuthority

/// What becomes of the update that the cloud tells. Facts in, one action out: no I/O, no clock, no `await`.
///
/// ``memory`` is what survives a restart; the driver makes it durable before it obeys an action. Times are measured from the start
/// of the process. A bundle that failed, or that the machine went back from, is not tried again until an order with another
/// serial comes: nothing installs and goes back in circles.
struct UpdateMachine {
    enum Action: Equatable {
        /// Nothing to do until something is told.
        case wait
        case rest(until: Duration)
        /// Removes what was downloaded; `discarded()` follows.
        case discard
        /// Reads bytes of the bundle from here on, in order; `fetched` or `fetchFailed` follows.
        case fetch(from: Int)
        /// Computes the SHA-256 of what is on the disk; `hashed` follows.
        case hash
        /// Hands the bundle to the install command; `installEnded` follows, or the process ends before it does.
        case install
    }

    enum Phase: String, Codable, Equatable {
        case idle, downloading, installing, awaitingReboot, trial, confirmed, failed, rolledBack
    }

    struct Memory: Codable, Equatable {
        var formatVersion = 1
        var order: UpdateOrder?
        var phase = Phase.idle
        /// Who ran when the installation began.
        var installer: SystemIdentity?
        /// Installations of this order that were begun.
        var installs = 0
        /// The bundle was found damaged after a restart, and is downloaded once more.
        var isSecondDownload = false
        var reason: String?
    }

    private(set) var memory: Memory
    private var running: SystemIdentity
    private var isPaused = false
    /// Bytes of the bundle that are on the disk.
    private(set) var fileBytes = 0
    private var isHashed = false
    /// The file on the disk is of another bundle, or damaged.
    private var isStale = false
    /// Part of the file is of an earlier process: it may not be what was written.
    private var isInherited = false
    private var attempts = 0
    private var restingUntil: Duration?
    /// Why it rests.
    private var trouble: String?
    private let isSupported: Bool
    private let retry: RetryPolicy

    static let installsMax = 3
    /// Between looks for space on the disk, and between attempts to install that came too early.
    static let lookPause = Duration.seconds(300)

    /// - Parameters:
    ///   - isSupported: there is an install command.
    ///   - fileBytes: of the bundle as an earlier process left it.
    init(
        memory: Memory?, running: SystemIdentity, fileBytes: Int, isSupported: Bool,
        retry: RetryPolicy = RetryPolicy(base: .seconds(5), cap: .seconds(600))
    ) {
        self.memory = memory ?? Memory()
        self.running = running
        self.fileBytes = fileBytes
        self.isSupported = isSupported
        self.retry = retry
        isInherited = fileBytes > 0
        begin()
    }

    /// What the machine's restart, or this process's, made of it.
    private mutating func begin() {
        guard let order = memory.order else { return }
        let isNamed = running.isNamed(order.version)
        let isNewBoot = memory.installer.map { $0.boot != running.boot } ?? false
        switch memory.phase {
        case .idle, .downloading: break
        case .installing:
            if isNamed, isNewBoot {
                settle(.trial)
            } else if memory.installs >= Self.installsMax {
                settle(.failed, "it ended \(memory.installs) times before the install command did")
            } else {
                // The bundle is looked at once more, then installed once more.
                memory.phase = .downloading
            }
        case .awaitingReboot: if isNewBoot || isNamed { judgeRestart(order, isNamed: isNamed) }
        case .trial, .confirmed: if !isNamed { judgeRestart(order, isNamed: false) }
        // Somebody may have installed it by hand.
        case .failed, .rolledBack: if isNamed { settle(.confirmed) }
        }
    }

    private mutating func judgeRestart(_ order: UpdateOrder, isNamed: Bool) {
        if isNamed {
            settle(.trial)
        } else if memory.installer?.isSameSystem(as: running) == true {
            settle(.rolledBack, "the machine runs \(running.words) again")
        } else {
            settle(.failed, "the machine runs \(running.words), which is not \(order.version)")
        }
    }

    private mutating func settle(_ phase: Phase, _ reason: String? = nil) {
        memory.phase = phase
        memory.reason = reason.map { String($0.prefix(160)) }
        (attempts, restingUntil, trouble) = (0, nil, nil)
    }

    // MARK: Events

    /// What the cloud tells now; again and again, for the same does nothing. Nil: nothing is to be installed.
    mutating func told(_ order: UpdateOrder?, isPaused: Bool) {
        self.isPaused = isPaused
        guard order != memory.order else { return }
        // What is being installed is not stopped half way; the driver comes back here when it has ended.
        guard memory.phase != .installing else { return }
        let former = memory.order
        guard let order else {
            // What was installed stays so; it is only not asked for any more.
            if ![.awaitingReboot, .trial, .confirmed].contains(memory.phase) { memory = Memory() }
            return
        }
        let isInstalled = [.awaitingReboot, .trial, .confirmed].contains(memory.phase)
        if let former, former.isSame(as: order), isInstalled || memory.phase == .downloading {
            // Another order for what is done or under way.
            memory.order = order
            return
        }
        memory = Memory(order: order)
        if former?.sha256 != order.sha256 { (isHashed, isStale) = (false, fileBytes > 0) }
        settle(running.isNamed(order.version) ? .confirmed : .downloading)
    }

    mutating func fetched(_ bytes: Int) {
        fileBytes += bytes
        (attempts, restingUntil, trouble) = (0, nil, nil)
    }

    /// `reason` is for people; `retryAfter` is the store's wish.
    mutating func fetchFailed(
        _ reason: String, retryAfter: Duration? = nil, now: Duration, using random: inout some RandomNumberGenerator
    ) {
        attempts += 1
        // An hour at most, whatever the store asks for.
        let wish = retryAfter.map { min($0, .seconds(3600)) }
        restingUntil = now + retry.delay(afterAttempt: attempts, retryAfter: wish, using: &random)
        trouble = reason
    }

    /// The disk has no room for the rest of it.
    mutating func spaceShort(_ reason: String, now: Duration) {
        restingUntil = now + Self.lookPause
        trouble = reason
    }

    mutating func discarded() {
        (fileBytes, isHashed, isInherited, isStale) = (0, false, false, false)
    }

    mutating func hashed(_ sha256: String) {
        guard memory.phase == .downloading, let order = memory.order else { return }
        if sha256 == order.sha256 {
            isHashed = true
        } else if isInherited, !memory.isSecondDownload {
            // A power cut may have left a file that is as long as it should be, and yet not what was written.
            memory.isSecondDownload = true
            isStale = true
        } else {
            settle(.failed, "the bundle's SHA-256 is \(sha256), not \(order.sha256)")
        }
    }

    enum Installation: Equatable {
        case done
        case refused(String)
        /// Not now (the machine is on trial itself, say): the bundle stays, and is handed over again later.
        case later(String)
        /// This process is told to end, and the command with it: it is repeated after the next start.
        case interrupted
    }

    mutating func installEnded(_ outcome: Installation, now: Duration) {
        guard memory.phase == .installing else { return }
        switch outcome {
        case .done: settle(.awaitingReboot)
        case .refused(let reason): settle(.failed, reason)
        case .later(let reason):
            memory.phase = .downloading
            memory.installs -= 1
            (restingUntil, trouble) = (now + Self.lookPause, reason)
        case .interrupted: break
        }
    }

    /// The gateway accepts, writes and uploads.
    mutating func provedHealthy() { if memory.phase == .trial { settle(.confirmed) } }

    // MARK: What to do

    mutating func next(now: Duration) -> Action {
        guard isSupported, let order = memory.order, memory.phase == .downloading else {
            return fileBytes > 0 && memory.phase != .installing ? .discard : .wait
        }
        if isStale || fileBytes > order.sizeBytes { return .discard }
        if isPaused { return .wait }
        if let until = restingUntil, now < until { return .rest(until: until) }
        if fileBytes < order.sizeBytes { return .fetch(from: fileBytes) }
        guard isHashed else { return .hash }
        memory.phase = .installing
        memory.installer = running
        memory.installs += 1
        return .install
    }

    /// The order whose bundle is being fetched.
    var wanted: UpdateOrder? { isSupported && memory.phase == .downloading ? memory.order : nil }

    var report: UpdateReport {
        var report = UpdateReport(state: .none, version: running.version, build: running.build, slot: running.slot)
        guard let order = memory.order else { return report }
        (report.target, report.serial) = (order.version, order.serial)
        report.reason = memory.reason ?? trouble
        report.state = state
        if report.state == .downloading || report.state == .paused {
            report.percent = min(100, fileBytes * 100 / order.sizeBytes)
        }
        return report
    }

    private var state: UpdateReport.State {
        if !isSupported, memory.phase == .downloading { return .unsupported }
        switch memory.phase {
        case .idle: return .none
        case .downloading: return isPaused ? .paused : isHashed ? .verified : .downloading
        case .installing: return .installing
        case .awaitingReboot: return .awaitingReboot
        case .trial: return .trial
        case .confirmed: return .confirmed
        case .failed: return .failed
        case .rolledBack: return .rolledBack
        }
    }
}

extension SystemIdentity {
    /// For people.
    var words: String {
        guard let version else { return "an unknown image" }
        return version + (build.map { " (\($0))" } ?? "")
    }
}
