import Dispatch
import Glibc
import Logging
import ServiceLifecycle
import Synchronization

/// Watches a role while it runs: feeds the service manager's watchdog as long as there is progress, and writes the state file.
///
/// The judging and the writing have threads of their own: a disk that hangs does not hide that the rest is alive, nor the
/// other way round.
final class HealthWatch: Service {
    struct Subject: Sendable {
        /// The role takes data or serves clients.
        var isReady: @Sendable () -> Bool
        var facts: @Sendable () -> ProgressJudge.Facts
        /// What the state file says. May read from the disk.
        var report: (@Sendable () -> String)?
    }

    private static let tick = Duration.seconds(1)
    private static let readyTick = Duration.milliseconds(20)
    private static let fileInterval = Duration.seconds(10)

    private struct State {
        var judge = ProgressJudge()
        var stalls: [ProgressJudge.Stall] = []
        var isReady = false
        var isStopped = false
    }

    private let subject: Subject
    private let notifier: ServiceNotifier
    private let stateFile: String?
    private let logger: Logger
    private let state = Mutex(State())
    private let judging = DispatchQueue(label: "cairn.health", qos: .userInitiated)
    private let writing = DispatchQueue(label: "cairn.state-file", qos: .utility)

    init(_ subject: Subject, notifier: ServiceNotifier, stateFile: String?, logger: Logger) {
        self.subject = subject
        self.notifier = notifier
        self.stateFile = stateFile
        self.logger = logger
    }

    /// What does not go on although it should.
    var problems: [String] { state.withLock { $0.stalls.map(\.description) } }

    func run() async throws {
        judging.async { self.judge() }
        if subject.report != nil, stateFile != nil { writing.async { self.write() } }
        try? await gracefulShutdown()
        notifier.stopping()
        state.withLock { $0.isStopped = true }
    }

    private func judge() {
        let facts = subject.facts()
        let now = Duration.nanoseconds(Int64(clamping: monotonicNanoseconds()))
        let isReadyNow = subject.isReady()
        let (stalls, isNew, becameReady, isStopped) = state.withLock { state in
            let stalls = state.judge.stalls(facts, now: now)
            let isNew = stalls.map(\.what) != state.stalls.map(\.what)
            state.stalls = stalls
            let becameReady = isReadyNow && !state.isReady
            state.isReady = isReadyNow
            return (stalls, isNew, becameReady, state.isStopped)
        }
        guard !isStopped else { return }
        if becameReady { notifier.ready() }
        if stalls.isEmpty {
            notifier.watchdog()
            if isNew { notifier.status("") }
        } else if isNew {
            let text = stalls.map(\.description).joined(separator: "; ")
            logger.critical("no progress", metadata: ["stalled": "\(text)"])
            notifier.status("no progress: " + text)
        }
        var pause = isReadyNow ? Self.tick : Self.readyTick
        if let watchdog = notifier.watchdogInterval { pause = min(pause, watchdog / 3) }
        judging.asyncAfter(deadline: .now() + pause.seconds) { self.judge() }
    }

    private func write() {
        guard !state.withLock({ $0.isStopped }), let report = subject.report, let stateFile else { return }
        StateFile.write(report(), to: stateFile)
        writing.asyncAfter(deadline: .now() + Self.fileInterval.seconds) { self.write() }
    }
}

/// Where the last report of a role lies, for when it cannot be asked.
enum StateFile {
    static let name = "status.json"

    /// In the runtime directory that the service manager made, which is memory, else with the data.
    static func path(dataDirectory: String, environment: [String: String]) -> String {
        let runtime = environment["RUNTIME_DIRECTORY"]?.split(separator: ":").first.map(String.init)
        return (runtime ?? dataDirectory) + "/" + name
    }

    /// Whole or not at all; not synced, so that flash is spared: after a power cut an older one may stand there.
    static func write(_ text: String, to path: String) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        var text = text
        let isWhole = text.withUTF8 { bytes in
            bytes.isEmpty || systemWrite(descriptor, UnsafeRawBufferPointer(bytes)) == bytes.count
        }
        close(descriptor)
        if isWhole { rename(temporary, path) } else { unlink(temporary) }
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
