public import NIOCore
import Synchronization

/// A store around another one that fails by script, counts, and remembers what was asked. For tests and simulation.
public final class FaultyStore: ObjectStore {
    /// One call and how it ended.
    public struct Event: Sendable, Equatable, CustomStringConvertible {
        public var operation: ObjectStoreOperation
        public var key: String
        /// nil for success.
        public var error: ObjectStoreError.Kind?
        public var description: String { "\(operation.rawValue) \(key)\(error.map { " -> \($0)" } ?? "")" }
    }

    private struct State {
        var script: FaultScript
        var events: [Event] = []
        var counts: [ObjectStoreOperation: Int] = [:]
        var newest: [String] = []
    }

    /// The trace keeps the newest so many calls.
    public static let eventsMax = 10_000
    private static let newestMax = 1000

    private let base: any ObjectStore
    private let state: Mutex<State>
    private let sleep: @Sendable (Duration) async throws -> Void

    /// `sleep` serves `StoreFault.delay`: a simulation gives its own clock's.
    public init(
        _ base: any ObjectStore, _ script: FaultScript = FaultScript(),
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await ContinuousClock().sleep(for: $0) }
    ) {
        self.base = base
        self.sleep = sleep
        state = Mutex(State(script: script))
    }

    /// Changes the script from now on.
    public func rescript(_ change: @Sendable (inout FaultScript) -> Void) { state.withLock { change(&$0.script) } }

    /// The newest calls in the order in which they ended.
    public var trace: [Event] { state.withLock { $0.events } }

    /// Calls so far, failed ones included.
    public func count(_ operation: ObjectStoreOperation) -> Int { state.withLock { $0.counts[operation] ?? 0 } }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try await faulty(.put, key) { (faults) throws(ObjectStoreError) in
            for fault in faults {
                if case .existsFalsely = fault, ifAbsent { return .alreadyExists }
                guard case .tornPut(let size) = fault else { continue }
                let torn = body.prefix(min(size, body.readableBytes - 1))
                if case .created = try await self.base.put(key, torn, ifAbsent: ifAbsent) { self.remember(key) }
                throw self.injected(.put, key, .unavailable)
            }
            let result = try await self.base.put(key, body, ifAbsent: ifAbsent)
            if case .created = result {
                self.remember(key)
                if ifAbsent, faults.contains(.ownObjectExists) { return .alreadyExists }
            }
            return result
        }
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try await faulty(.get, key) { (faults) throws(ObjectStoreError) in
            var bytes = try await self.base.get(key, range: range)
            for fault in faults {
                if case .truncateGet(let size) = fault { bytes = bytes.prefix(size) }
                if case .flipGet(let bit) = fault { bytes.flip(bit: bit) }
            }
            return bytes
        }
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try await faulty(.head, key) { (faults) throws(ObjectStoreError) in
            faults.contains(.staleHead) ? nil : try await self.base.head(key)
        }
    }

    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        try await faulty(.list, prefix) { (faults) throws(ObjectStoreError) in
            var page = try await self.base.list(prefix: prefix, startAfter: startAfter, limit: limit)
            for case .staleList(let newest) in faults {
                let hidden = self.state.withLock { Set($0.newest.suffix(max(0, newest))) }
                page.objects.removeAll { hidden.contains($0.key) }
            }
            return page
        }
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        try await faulty(.delete, keys.first ?? "") { (_) throws(ObjectStoreError) in
            try await self.base.delete(keys)
        }
    }

    private func faulty<Value>(
        _ operation: ObjectStoreOperation, _ key: String,
        _ body: ([StoreFault]) async throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        let faults = state.withLock { state in
            state.counts[operation, default: 0] += 1
            return state.script.faults(operation, key: key)
        }
        do throws(ObjectStoreError) {
            for fault in faults {
                if case .delay(let pause) = fault { try await delay(pause, operation, key) }
                if case .fail(let kind) = fault { throw injected(operation, key, kind) }
            }
            let value = try await body(faults)
            for case .failAfterEffect(let kind) in faults { throw injected(operation, key, kind) }
            record(Event(operation: operation, key: key))
            return value
        } catch {
            record(Event(operation: operation, key: key, error: error.kind))
            throw error
        }
    }

    private func injected(
        _ operation: ObjectStoreOperation, _ key: String, _ kind: ObjectStoreError.Kind
    ) -> ObjectStoreError {
        ObjectStoreError(operation, key: key, kind, detail: "injected")
    }

    private func delay(
        _ pause: Duration, _ operation: ObjectStoreOperation, _ key: String
    ) async throws(ObjectStoreError) {
        do { try await sleep(pause) } catch { throw ObjectStoreError(operation, key: key, .cancelled) }
    }

    private func record(_ event: Event) {
        state.withLock { state in
            state.events.append(event)
            if state.events.count > 2 * Self.eventsMax { state.events.removeFirst(Self.eventsMax) }
        }
    }

    private func remember(_ key: String) {
        state.withLock { state in
            state.newest.append(key)
            if state.newest.count > 2 * Self.newestMax { state.newest.removeFirst(Self.newestMax) }
        }
    }
}

extension ByteBuffer {
    fileprivate func prefix(_ sizeBytes: Int) -> ByteBuffer {
        getSlice(at: readerIndex, length: min(max(0, sizeBytes), readableBytes)) ?? self
    }

    fileprivate mutating func flip(bit: Int) {
        guard readableBytes > 0 else { return }
        let bit = Int(UInt(bitPattern: bit) % UInt(readableBytes * 8))
        let index = readerIndex + bit / 8
        guard let byte: UInt8 = getInteger(at: index) else { return }
        setInteger(byte ^ (1 << UInt8(bit % 8)), at: index)
    }
}
