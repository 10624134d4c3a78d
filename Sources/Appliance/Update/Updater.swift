import Logging
import NIOCore
import ObjectStore
import SiteAuthority
import Synchronization
import Uplink
import WriteAheadLog

/// Downloads and installs what the cloud tells: obeys ``UpdateMachine`` and decides nothing itself.
///
/// Bytes are fetched in ranges as the pace of the uplink leaves room for them: after all data, within caps, windows and the data
/// plan. Each range is durable before the next one is asked for.
final class Updater: Sendable {
    /// What the gateway lends it.
    struct World: Sendable {
        var store: any ObjectStore
        var pacer: UplinkPacer<ContinuousClock>
        /// What the cloud tells now; nil while it has told nothing at all.
        var told: @Sendable () -> (order: UpdateOrder?, isPaused: Bool)?
        var isConfirmable: @Sendable () -> Bool
        /// Bytes of the disk that lanes may still take.
        var promisedBytes: @Sendable () -> Int
    }

    private struct Shared {
        var report: UpdateReport
        var wanted: UpdateOrder?
        var hasNews = false
        /// Why the link lets nothing through.
        var hold: String?
    }

    private let settings: UpdateSettings
    private let files: UpdateFiles
    private let world: World
    private let logger: Logger
    private let shared: Mutex<Shared>
    private let start = ContinuousClock.now

    /// Of one request; what a link lets through within ``patience``, if that is less.
    private static let rangeBytes = 1 << 20
    private static let patience = Duration.seconds(2)
    private static let pause = Duration.seconds(1)

    init(_ settings: UpdateSettings, dataDirectory: String, world: World, logger: Logger) {
        self.settings = settings
        files = UpdateFiles(dataDirectory: dataDirectory)
        self.world = world
        self.logger = logger
        let running = SystemIdentity.read(root: settings.systemRoot)
        shared = Mutex(
            Shared(
                report: UpdateReport(
                    state: .none, version: running.version, build: running.build, slot: running.slot)))
    }

    /// Image and update as they are now.
    var report: UpdateReport {
        shared.withLock { shared in
            var report = shared.report
            if report.state == .downloading, let hold = shared.hold { report.reason = hold }
            return report
        }
    }

    /// The order whose bundle is being fetched.
    var wanted: UpdateOrder? { shared.withLock { $0.wanted } }

    /// Whether something happened that the cloud should hear of before the next greeting.
    func takeNews() -> Bool {
        shared.withLock { shared in
            defer { shared.hasNews = false }
            return shared.hasNews
        }
    }

    /// Works until the task is cancelled.
    func run() async {
        var saved = files.load()
        var machine = UpdateMachine(
            memory: saved, running: SystemIdentity.read(root: settings.systemRoot),
            fileBytes: files.sizeBytes(saved?.order), isSupported: settings.isSupported)
        files.removeBundles(keeping: saved?.order)
        while !Task.isCancelled {
            if let told = world.told() { machine.told(told.order, isPaused: told.isPaused) }
            if machine.memory.phase == .trial, world.isConfirmable() { machine.provedHealthy() }
            let before = machine
            let action = machine.next(now: start.duration(to: .now))
            // Where nothing was ever told, nothing is written.
            if machine.memory != saved ?? UpdateMachine.Memory() {
                do {
                    try files.save(machine.memory)
                    saved = machine.memory
                } catch {
                    logger.warning(
                        "the state of the update cannot be kept, so nothing is done", metadata: ["error": "\(error)"])
                    machine = before
                    try? await Task.sleep(for: Self.pause * 5)
                    continue
                }
            }
            show(machine)
            await perform(action, &machine)
        }
    }

    private func show(_ machine: UpdateMachine) {
        let report = machine.report
        let former = shared.withLock { shared in
            let former = shared.report
            (shared.report, shared.wanted) = (report, machine.wanted)
            if former.state != report.state || former.serial != report.serial { shared.hasNews = true }
            return former
        }
        guard former.state != report.state || former.serial != report.serial else { return }
        let isBad = report.state == .failed || report.state == .rolledBack
        logger.log(level: isBad ? .error : .notice, "update", metadata: ["image": "\(report.line)"])
    }

    private func perform(_ action: UpdateMachine.Action, _ machine: inout UpdateMachine) async {
        switch action {
        case .wait, .rest: try? await Task.sleep(for: Self.pause)
        case .discard:
            files.removeBundles()
            machine.discarded()
        case .fetch(let offset): await fetch(from: offset, &machine)
        case .hash:
            guard let order = machine.wanted else { return }
            if let sha256 = await files.sha256(order) {
                machine.hashed(sha256)
            } else {
                failed(&machine, "the bundle cannot be read")
            }
        case .install: await install(&machine)
        }
    }

    // MARK: Downloading

    private func fetch(from offset: Int, _ machine: inout UpdateMachine) async {
        guard let order = machine.wanted else { return }
        if let shortage = files.shortage(order.sizeBytes - offset, promisedBytes: world.promisedBytes()) {
            return machine.spaceShort(shortage, now: start.duration(to: .now))
        }
        let admitted = await world.pacer.admitLast(
            min(Self.rangeBytes, order.sizeBytes - offset), within: Self.patience)
        shared.withLock { $0.hold = Self.words(admitted.hold, isIdle: admitted.bytes == 0) }
        guard admitted.bytes > 0 else {
            if admitted.hold != nil { try? await Task.sleep(for: Self.pause) }
            return
        }
        do throws(ObjectStoreError) {
            let bytes = try await world.store.get(order.key, range: offset..<offset + admitted.bytes)
            do throws(DiskError) {
                try files.append(bytes, to: order, at: offset)
                machine.fetched(bytes.readableBytes)
            } catch { failed(&machine, "\(error)") }
        } catch {
            var retryAfter: Duration?
            if case .throttled(let wish) = error.kind { retryAfter = wish }
            // The end of this process is no failure.
            if !Task.isCancelled { failed(&machine, "\(error)", retryAfter: retryAfter) }
        }
    }

    private static func words(_ hold: LaneHold?, isIdle: Bool) -> String? {
        switch hold {
        case .paused: "waits: uploads are paused by command"
        case .throttled: "waits: the store asked for a pause"
        case .window: "waits for its window"
        case .budget: "waits: the last fifth of the data plan is for data"
        case nil: isIdle ? "waits: data goes first" : nil
        }
    }

    private func failed(_ machine: inout UpdateMachine, _ reason: String, retryAfter: Duration? = nil) {
        var random = SystemRandomNumberGenerator()
        machine.fetchFailed(reason, retryAfter: retryAfter, now: start.duration(to: .now), using: &random)
        logger.info("downloading the update: \(reason)")
    }

    // MARK: Installing

    /// The command may start the machine again before it ends: what counts is on the disk already.
    private func install(_ machine: inout UpdateMachine) async {
        guard let order = machine.memory.order else { return }
        let result = await installed(order)
        machine.installEnded(result, now: start.duration(to: .now))
    }

    private func installed(_ order: UpdateOrder) async -> UpdateMachine.Installation {
        do throws(ChildProcess.Failure) {
            let outcome = try await ChildProcess.run(
                [settings.installCommand, files.path(order)], timeout: settings.installTimeout)
            guard outcome.code != 0 else { return .done }
            guard !Task.isCancelled else { return .interrupted }
            logger.error(
                "the install command failed",
                metadata: ["code": "\(outcome.code)", "output": "\(outcome.text.suffix(2000))"])
            if outcome.isOverTime {
                return .refused("\(settings.installCommand): it did not end within \(settings.installTimeout)")
            }
            if outcome.code == Self.notNow { return .later(outcome.lastLine) }
            return .refused("\(settings.installCommand): code \(outcome.code): \(outcome.lastLine)")
        } catch {
            // Too little memory, say, may pass.
            return error.isLasting ? .refused("\(error)") : .later("\(error)")
        }
    }

    /// `EX_TEMPFAIL` of sysexits.h.
    private static let notNow: Int32 = 75
}
