import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore
import Synchronization

/// InitProducerId: ids from the ledger, taken in blocks. A block that a restart leaves half used is never given again.
final class ProducerIDHandler: Sendable {
    private struct State {
        var ids: Range<Int64> = 0..<0
        var waiting: [EventLoopPromise<Result<Int64, LedgerError>>] = []
        var isAsking = false
    }

    private static let blockCount = 1_000
    private let ledger: Ledger
    private let configuration: TransactionConfiguration
    private let world: CloudWorld
    private let state = Mutex(State())

    init(ledger: Ledger, configuration: TransactionConfiguration, world: CloudWorld) {
        self.ledger = ledger
        self.configuration = configuration
        self.world = world
    }

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(InitProducerIDRequest.self)
        var response = InitProducerIDResponse()
        response.producerEpoch = -1
        if let id = asked.transactionalID { return initialise(id, asked, request, loop) }
        // Whatever id the producer had before: Kafka gives a new one where there is no transactional id.
        return next(loop).map { [response] result in
            var response = response
            switch result {
            case .success(let id):
                response.producerID = id
                response.producerEpoch = 0
            case .failure(let error): response.errorCode = error.coordinatorCode
            }
            return response
        }.answer(request)
    }

    /// Rule T1.
    private func initialise(
        _ id: String, _ asked: InitProducerIDRequest, _ request: KafkaRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        let version = request.header.apiVersion
        var response = InitProducerIDResponse()
        response.producerEpoch = -1
        let hasHalf = (asked.producerID < 0) != (asked.producerEpoch < 0)
        if id.isEmpty || hasHalf {
            response.errorCode = .invalidRequest
        } else if asked.transactionTimeoutMs <= 0 || asked.transactionTimeoutMs > configuration.timeoutMsMax {
            response.errorCode = .invalidTransactionTimeout
        }
        guard response.errorCode == .none else { return request.answer(response, on: loop) }
        let command = InitTransaction(
            transactionalID: id, timeoutMs: asked.transactionTimeoutMs, producerID: max(-1, asked.producerID),
            epoch: max(-1, asked.producerEpoch), nowMs: world.wallMs())
        return ledger.submit(.initTransaction(command), on: loop).map { [response] result in
            var response = response
            switch result {
            case .success(.transaction(.accepted(let producerID, let epoch))):
                response.producerID = producerID
                response.producerEpoch = epoch
            case .success(.transaction(.rejected(let code))):
                response.errorCode = TransactionHandler.shown(code, oldBelow: 4, version)
            case .success: response.errorCode = .unknownServerError
            case .failure(let error): response.errorCode = error.coordinatorCode
            }
            return response
        }.answer(request)
    }

    private func next(_ loop: any EventLoop) -> EventLoopFuture<Result<Int64, LedgerError>> {
        let promise = loop.makePromise(of: Result<Int64, LedgerError>.self)
        let (id, mustAsk) = state.withLock { state -> (Int64?, Bool) in
            if let id = state.ids.popFirst() { return (id, false) }
            state.waiting.append(promise)
            defer { state.isAsking = true }
            return (nil, !state.isAsking)
        }
        if let id { promise.succeed(.success(id)) }
        if mustAsk { ask() }
        return promise.futureResult
    }

    private func ask() {
        ledger.submit(.allocateProducerID(count: Self.blockCount)) { [self] result in
            switch result {
            case .success(.producerIDs(let ids)): serve(ids)
            case .success: fail(.unavailable("another command's answer"))
            case .failure(let error): fail(error)
            }
        }
    }

    private func serve(_ ids: Range<Int64>) {
        let (served, mustAsk) = state.withLock {
            state -> ([(EventLoopPromise<Result<Int64, LedgerError>>, Int64)], Bool) in
            state.ids = ids
            var served: [(EventLoopPromise<Result<Int64, LedgerError>>, Int64)] = []
            while let promise = state.waiting.first, let id = state.ids.popFirst() {
                state.waiting.removeFirst()
                served.append((promise, id))
            }
            state.isAsking = !state.waiting.isEmpty
            return (served, state.isAsking)
        }
        for (promise, id) in served { promise.succeed(.success(id)) }
        if mustAsk { ask() }
    }

    private func fail(_ error: LedgerError) {
        let waiting = state.withLock { state in
            state.isAsking = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for promise in waiting { promise.succeed(.failure(error)) }
    }
}
