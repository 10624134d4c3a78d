import NIOCore
import Synchronization

/// Counts the connections of a listener, those included whose last records are still being stored, and closes them all.
final class ConnectionGate: Sendable {
    private struct State {
        var closers: [UInt64: @Sendable () -> Void] = [:]
        var nextID: UInt64 = 0
        var isClosing = false
        var emptied: EventLoopPromise<Void>?
    }
    private let state = Mutex(State())
    private let connectionsMax: Int

    init(connectionsMax: Int) {
        self.connectionsMax = connectionsMax
    }

    var count: Int { state.withLock { $0.closers.count } }

    /// A ticket to give back with ``leave(_:)``; nil if there are too many, or the listener is closing.
    func enter(close: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state in
            guard !state.isClosing, state.closers.count < connectionsMax else { return nil }
            state.nextID += 1
            state.closers[state.nextID] = close
            return state.nextID
        }
    }

    func leave(_ ticket: UInt64) {
        let emptied = state.withLock { state -> EventLoopPromise<Void>? in
            state.closers[ticket] = nil
            guard state.closers.isEmpty else { return nil }
            defer { state.emptied = nil }
            return state.emptied
        }
        emptied?.succeed()
    }

    /// Closes every connection and lets none in any more. Returns when all have left or `limit` is over.
    func shutdown(within limit: Duration, on eventLoop: any EventLoop) async {
        let promise = eventLoop.makePromise(of: Void.self)
        let closers = state.withLock { state -> [@Sendable () -> Void]? in
            guard !state.isClosing, !state.closers.isEmpty else {
                state.isClosing = true
                return nil
            }
            state.isClosing = true
            state.emptied = promise
            return Array(state.closers.values)
        }
        guard let closers else {
            promise.succeed()
            return
        }
        for close in closers { close() }
        let timeout = eventLoop.scheduleTask(in: TimeAmount(limit)) { self.giveUp() }
        try? await promise.futureResult.get()
        timeout.cancel()
    }

    private func giveUp() {
        let emptied = state.withLock { state -> EventLoopPromise<Void>? in
            defer { state.emptied = nil }
            return state.emptied
        }
        emptied?.succeed()
    }
}
