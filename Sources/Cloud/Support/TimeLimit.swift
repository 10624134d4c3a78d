/// Runs `body` and cancels it when `limit` is over. The result is always the body's own: it must answer cancellation by
/// ending soon with whatever it has.
func withTimeLimit<Value: Sendable>(
    _ limit: Duration, clock: any Clock<Duration>, _ body: @escaping @Sendable () async -> Value
) async -> Value {
    await withTaskGroup(of: Value?.self) { group in
        group.addTask { await body() }
        group.addTask {
            try? await clock.sleep(for: limit)
            return nil
        }
        var result: Value?
        while let next = await group.next() {
            if let next { result = next }
            group.cancelAll()
        }
        guard let result else { preconditionFailure("a task group lost its only result") }
        return result
    }
}
