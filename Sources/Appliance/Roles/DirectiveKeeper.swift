import Edge
import FoundationEssentials
import Logging
import SiteAuthority
import Synchronization
import Uplink

/// Applies what the cloud tells the site, at once and again after a start, from `<data-dir>/directives.json`: the last ones
/// hold while the cloud cannot be reached.
final class DirectiveKeeper: Sendable {
    private struct State {
        var set: DirectiveSet
        var told: (values: [String: String], version: UInt64)?
        var isStarted = false
    }

    /// Called with the limit in bytes a second: 0 for none, nil for what the configuration says.
    let onBandwidth: (@Sendable (Int?) -> Void)?
    private let path: String
    private let topics: LocalTopics
    private let flush: [String: Duration]
    private let logger: Logger
    private let state: Mutex<State>

    init(
        _ settings: EdgeSettings, topics: LocalTopics, logger: Logger, onBandwidth: (@Sendable (Int?) -> Void)? = nil
    ) {
        path = settings.dataDirectory + "/directives.json"
        self.topics = topics
        self.onBandwidth = onBandwidth
        self.logger = logger
        flush = Dictionary(settings.lanes.map { ($0.name, $0.flush) }, uniquingKeysWith: { first, _ in first })
        let data = try? Data(contentsOf: URL(filePath: path))
        // A broken file is as none: the cloud tells them again.
        let found = data.flatMap { try? JSONDecoder().decode(DirectiveSet.self, from: $0) }
        state = Mutex(State(set: found ?? DirectiveSet()))
    }

    var version: UInt64 { state.withLock { $0.set.version } }
    /// The update that is told; nil while the cloud has told nothing at all.
    var update: (order: UpdateOrder?, isPaused: Bool)? {
        state.withLock { $0.set.version > 0 ? $0.set.update : nil }
    }
    var refused: [String: String] { state.withLock { $0.set.refused } }

    /// From any task; ``attend(_:)`` does it.
    func told(_ values: [String: String], version: UInt64) {
        state.withLock { state in
            if version != state.set.version { state.told = (values, version) }
        }
    }

    /// A new uplink knows nothing of what was told.
    func startAgain() { state.withLock { $0.isStarted = false } }

    /// Applies what is to be applied.
    func attend(_ uplink: Uplink<ContinuousClock>) async {
        let (changes, isNew) = state.withLock { state -> ([DirectiveSet.Change], Bool) in
            var changes: [DirectiveSet.Change] = []
            if !state.isStarted {
                state.isStarted = true
                changes = state.set.again()
            }
            guard let told = state.told else { return (changes, false) }
            state.told = nil
            return (changes + state.set.told(told.values, version: told.version), true)
        }
        for change in changes {
            let reason = await apply(change, uplink)
            if let reason, !change.isTakenBack { state.withLock { $0.set.refuse(change.name, reason) } }
            logger.notice(
                "directive of the cloud",
                metadata: [
                    "name": "\(change.name)", "outcome": "\(reason ?? (change.isTakenBack ? "taken back" : "applied"))",
                ])
        }
        if isNew { save() }
    }

    /// Nil, or why not.
    private func apply(_ change: DirectiveSet.Change, _ uplink: Uplink<ContinuousClock>) async -> String? {
        switch change.directive {
        case .partitions(let topic, let count): return change.isTakenBack ? nil : grow(topic, to: count)
        case .flush(let lane, let interval):
            let interval = change.isTakenBack ? flush[lane] ?? interval : interval
            return await uplink.change(flushInterval: interval, of: lane) ? nil : "there is no lane \(lane)"
        case .bandwidth(let bytesPerSecond):
            guard let onBandwidth else { return "this gateway does not limit its bandwidth" }
            onBandwidth(change.isTakenBack ? nil : bytesPerSecond ?? 0)
            return nil
        case .logLevel(let level):
            LogLevelOverride.set(change.isTakenBack ? nil : Logger.Level(rawValue: level))
            return nil
        // Updater looks at what is told, and reports by itself.
        case .update, .updatePaused: return nil
        }
    }

    private func grow(_ topic: String, to count: Int32) -> String? {
        guard count <= LocalTopics.partitionsMax else { return "at most \(LocalTopics.partitionsMax) partitions" }
        if let known = topics.topic(named: topic), known.partitionCount > count {
            return "it has \(known.partitionCount), and a topic never gets fewer"
        }
        do {
            try topics.configure(Edge.TopicSettings(name: topic, partitionCount: count))
            return nil
        } catch { return "\(error)" }
    }

    private func save() {
        do {
            let data = try JSONEncoder().encode(state.withLock { $0.set })
            try data.write(to: URL(filePath: path), options: .atomic)
        } catch {
            logger.warning("directives cannot be kept over a restart", metadata: ["error": "\(error)"])
        }
    }
}
