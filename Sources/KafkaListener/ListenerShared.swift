import KafkaProtocol
import Logging
import NIOCore
import Synchronization

/// What all connections of one listener share.
final class ListenerShared: Sendable {
    let configuration: KafkaListenerConfiguration
    let service: any KafkaService
    let versions: VersionTable
    let requestBudget: ByteBudget
    let assemblyBudget: ByteBudget
    let counters = ListenerCounters()
    let logger: Logger

    private let registry = Mutex(Registry())

    private struct Registry {
        /// Set once, at shutdown: when every connection must be gone.
        var drainDeadline: NIODeadline?
        var lastID: UInt64 = 0
        var drains: [UInt64: @Sendable (NIODeadline) -> Void] = [:]
        /// Whoever waits for the last connection to go.
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    init(configuration: KafkaListenerConfiguration, service: any KafkaService, logger: Logger) {
        self.configuration = configuration
        self.service = service
        self.versions = VersionTable(apis: service.apis, features: service.features)
        self.requestBudget = ByteBudget(limitBytes: max(0, configuration.inFlightBytesMax))
        self.assemblyBudget = ByteBudget(limitBytes: max(0, configuration.assemblyBytesMax))
        self.logger = logger
    }

    /// The id of a new connection, or `nil` when it is one too many or the listener is going down.
    func admitConnection() -> UInt64? {
        counters.connectionsAccepted.count()
        let limit = configuration.connectionsMax
        let id: UInt64? = registry.withLock { registry in
            guard registry.drainDeadline == nil, registry.drains.count < limit else { return nil }
            registry.lastID += 1
            registry.drains[registry.lastID] = { _ in }
            return registry.lastID
        }
        if id == nil { counters.connectionsRefused.count() } else { counters.connectionsOpen.count() }
        return id
    }

    /// `drain` is called at shutdown, from any thread, with the time by which the connection must be gone.
    func connectionReady(_ id: UInt64, drain: @escaping @Sendable (NIODeadline) -> Void) {
        let deadline = registry.withLock { registry in
            if registry.drains[id] != nil { registry.drains[id] = drain }
            return registry.drainDeadline
        }
        if let deadline { drain(deadline) }
    }

    func connectionGone(_ id: UInt64) {
        let (wasThere, waiters) = registry.withLock { registry in
            let wasThere = registry.drains.removeValue(forKey: id) != nil
            guard registry.drainDeadline != nil, registry.drains.isEmpty else {
                return (wasThere, [CheckedContinuation<Void, Never>]())
            }
            defer { registry.waiters = [] }
            return (wasThere, registry.waiters)
        }
        if wasThere { counters.connectionsOpen.subtract(1, ordering: .relaxed) }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when every connection has gone. After ``drainAll(until:)``, which bounds it.
    func allGone() async {
        await withCheckedContinuation { continuation in
            let isOver = registry.withLock { registry in
                if !registry.drains.isEmpty { registry.waiters.append(continuation) }
                return registry.drains.isEmpty
            }
            if isOver { continuation.resume() }
        }
    }

    func drainAll(until deadline: NIODeadline) {
        let drains = registry.withLock { registry in
            registry.drainDeadline = deadline
            return Array(registry.drains.values)
        }
        for drain in drains { drain(deadline) }
    }
}
