import Synchronization

/// What a listener has done since it was made. A snapshot: the numbers belong to about the same moment.
public struct KafkaListenerCounters: Sendable, Equatable {
    public var connectionsAccepted: UInt64 = 0
    /// Closed at once because `connectionsMax` was reached.
    public var connectionsRefused: UInt64 = 0
    public var connectionsOpen: UInt64 = 0
    public var requests: UInt64 = 0
    public var requestBytes: UInt64 = 0
    public var responses: UInt64 = 0
    public var responseBytes: UInt64 = 0
    /// Closed: bad frame length, unparsable header, unknown key or version.
    public var protocolErrors: UInt64 = 0
    /// Closed because the service failed the request, for example a body it could not parse.
    public var requestsFailed: UInt64 = 0
    /// Closed: a frame above the limit.
    public var framesTooLarge: UInt64 = 0
    /// Closed: a frame that did not complete in time.
    public var framesTooSlow: UInt64 = 0
    public var connectionsIdle: UInt64 = 0
    /// Times a connection waited for bytes of the shared budgets.
    public var budgetWaits: UInt64 = 0
    /// Bytes of requests that are not answered now.
    public var bytesInFlight: UInt64 = 0
    /// Bytes reserved now for frames that are still arriving.
    public var bytesInAssembly: UInt64 = 0
}

/// The live counters, one per listener, written by every event loop.
final class ListenerCounters: Sendable {
    let connectionsAccepted = Atomic<UInt64>(0)
    let connectionsRefused = Atomic<UInt64>(0)
    let connectionsOpen = Atomic<UInt64>(0)
    let requests = Atomic<UInt64>(0)
    let requestBytes = Atomic<UInt64>(0)
    let responses = Atomic<UInt64>(0)
    let responseBytes = Atomic<UInt64>(0)
    let protocolErrors = Atomic<UInt64>(0)
    let requestsFailed = Atomic<UInt64>(0)
    let framesTooLarge = Atomic<UInt64>(0)
    let framesTooSlow = Atomic<UInt64>(0)
    let connectionsIdle = Atomic<UInt64>(0)
    let budgetWaits = Atomic<UInt64>(0)

    func snapshot(requestBudget: ByteBudget, assemblyBudget: ByteBudget) -> KafkaListenerCounters {
        KafkaListenerCounters(
            connectionsAccepted: connectionsAccepted.load(ordering: .relaxed),
            connectionsRefused: connectionsRefused.load(ordering: .relaxed),
            connectionsOpen: connectionsOpen.load(ordering: .relaxed),
            requests: requests.load(ordering: .relaxed),
            requestBytes: requestBytes.load(ordering: .relaxed),
            responses: responses.load(ordering: .relaxed),
            responseBytes: responseBytes.load(ordering: .relaxed),
            protocolErrors: protocolErrors.load(ordering: .relaxed),
            requestsFailed: requestsFailed.load(ordering: .relaxed),
            framesTooLarge: framesTooLarge.load(ordering: .relaxed),
            framesTooSlow: framesTooSlow.load(ordering: .relaxed),
            connectionsIdle: connectionsIdle.load(ordering: .relaxed),
            budgetWaits: budgetWaits.load(ordering: .relaxed),
            bytesInFlight: UInt64(max(0, requestBudget.used)),
            bytesInAssembly: UInt64(max(0, assemblyBudget.used)))
    }
}

extension Atomic where Value == UInt64 {
    func count(_ amount: Int = 1) { add(UInt64(Swift.max(0, amount)), ordering: .relaxed) }
}
