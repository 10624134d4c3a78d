import DequeModule

/// The unanswered requests of one connection: which may be handed to the service, and whose response leaves next.
///
/// Facts in, decisions out: it knows neither sockets nor futures. Requests get numbers from 0 in the order of arrival.
struct RequestPipeline<Request, Response> {
    private enum State {
        case waiting(Request)
        case handed
        /// `nil` for a request that gets no response.
        case answered(Response?)
    }

    private struct Slot {
        let sizeBytes: Int
        let overlaps: Bool
        let isAwaited: Bool
        var state: State
    }

    let requestsMax: Int
    let bytesMax: Int
    private var slots = Deque<Slot>()
    /// Number of the first slot.
    private var firstNumber = 0
    /// Index of the first slot that is still `waiting`; slots are handed over in order.
    private var firstWaiting = 0
    private var handedCount = 0
    private var awaitedCount = 0
    private var handedExclusively = false
    private(set) var sizeBytes = 0

    init(requestsMax: Int, bytesMax: Int) {
        self.requestsMax = max(1, requestsMax)
        self.bytesMax = bytesMax
    }

    var count: Int { slots.count }
    var isEmpty: Bool { slots.isEmpty }
    /// Whether the service works on a request whose answer is worth waiting for at shutdown.
    var hasAwaited: Bool { awaitedCount > 0 }

    /// Whether a request of this size may come in. A single one may be larger than the limit.
    func hasRoom(forBytes bytes: Int) -> Bool {
        slots.isEmpty || (slots.count < requestsMax && sizeBytes + bytes <= bytesMax)
    }

    mutating func arrived(_ request: Request, sizeBytes bytes: Int, overlaps: Bool, isAwaited: Bool = true) {
        slots.append(Slot(sizeBytes: bytes, overlaps: overlaps, isAwaited: isAwaited, state: .waiting(request)))
        sizeBytes += bytes
    }

    /// The next request for the service, if it may be handed over now. It then counts as handed over.
    mutating func nextToHand() -> (number: Int, request: Request, sizeBytes: Int)? {
        guard firstWaiting < slots.count, case .waiting(let request) = slots[firstWaiting].state else { return nil }
        let overlaps = slots[firstWaiting].overlaps
        guard handedCount == 0 || (overlaps && !handedExclusively) else { return nil }
        slots[firstWaiting].state = .handed
        handedExclusively = !overlaps
        handedCount += 1
        if slots[firstWaiting].isAwaited { awaitedCount += 1 }
        firstWaiting += 1
        return (firstNumber + firstWaiting - 1, request, slots[firstWaiting - 1].sizeBytes)
    }

    mutating func answered(_ number: Int, with response: Response?) {
        let index = number - firstNumber
        guard slots.indices.contains(index), case .handed = slots[index].state else {
            preconditionFailure("request \(number) answered twice or never handed over; first is \(firstNumber)")
        }
        slots[index].state = .answered(response)
        handedCount -= 1
        if slots[index].isAwaited { awaitedCount -= 1 }
    }

    /// The next response in request order, and the bytes that its request no longer holds.
    mutating func nextToSend() -> (response: Response?, sizeBytes: Int)? {
        guard let first = slots.first, case .answered(let response) = first.state else { return nil }
        slots.removeFirst()
        firstNumber += 1
        firstWaiting -= 1
        sizeBytes -= first.sizeBytes
        return (response, first.sizeBytes)
    }

    /// Forgets everything. Returns the bytes of all requests that the service does not work on, and the responses that are
    /// not sent. The other requests keep their bytes until their answers come, which must not be reported here.
    mutating func abandon() -> (freedBytes: Int, unsent: [Response]) {
        var freedBytes = 0
        var unsent: [Response] = []
        for slot in slots {
            if case .handed = slot.state { continue }
            if case .answered(let response?) = slot.state { unsent.append(response) }
            freedBytes += slot.sizeBytes
        }
        self = RequestPipeline(requestsMax: requestsMax, bytesMax: bytesMax)
        return (freedBytes, unsent)
    }
}
