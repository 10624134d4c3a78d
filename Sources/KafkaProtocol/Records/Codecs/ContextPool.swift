import Synchronization

/// Contexts of a C library that cost more to make than to use again. A context serves one call at a time.
final class ContextPool: Sendable {
    /// Owned by the pool or by the one call that took it out: that is why it may cross threads.
    private struct Context: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    /// One for each core of a usual machine; more calls at a time make contexts for themselves.
    static let idleMax = 8

    private let idle = Mutex<[Context]>([])
    private let make: @Sendable () -> OpaquePointer?
    private let free: @Sendable (OpaquePointer) -> Void
    /// Brings a used context back to its beginning; false where it has grown too large to keep.
    private let reset: @Sendable (OpaquePointer) -> Bool

    init(
        make: @escaping @Sendable () -> OpaquePointer?, free: @escaping @Sendable (OpaquePointer) -> Void,
        reset: @escaping @Sendable (OpaquePointer) -> Bool
    ) {
        self.make = make
        self.free = free
        self.reset = reset
    }

    /// Nil where there is no memory for a context.
    func withContext<Value>(_ body: (OpaquePointer) -> Value) -> Value? {
        let taken = idle.withLock { $0.popLast() }
        guard let context = taken?.pointer ?? make() else { return nil }
        let value = body(context)
        let wasKept = reset(context) && keep(Context(pointer: context))
        if !wasKept { free(context) }
        return value
    }

    private func keep(_ context: Context) -> Bool {
        idle.withLock { contexts in
            guard contexts.count < Self.idleMax else { return false }
            contexts.append(context)
            return true
        }
    }
}

extension ContextPool {
    /// The same for a decompressor, whose lack of memory is an error like others.
    func decompressing<Value>(
        _ body: (OpaquePointer) -> Result<Value, RecordBatchError>
    ) -> Result<Value, RecordBatchError> {
        withContext(body) ?? .failure(.decompressionFailed(reason: "no memory for a context"))
    }
}
