import KafkaProtocol
import Ledger
import NIOCore

extension LedgerError {
    /// Whether the same command may succeed later.
    var isRetryable: Bool {
        switch self {
        case .overloaded, .unavailable: true
        case .refused, .fenced, .closed, .corrupt, .log: false
        }
    }

    /// What a client is told. All but refusals are errors after which clients try again, here or at another node.
    var errorCode: ErrorCode {
        switch self {
        case .refused(let refusal): refusal.errorCode
        case .overloaded, .unavailable: .requestTimedOut
        case .fenced, .closed: .notLeaderOrFollower
        case .corrupt, .log: .kafkaStorageError
        }
    }

    /// The same for requests to the group coordinator.
    var coordinatorCode: ErrorCode {
        switch self {
        case .refused(let refusal): refusal.errorCode
        case .overloaded, .unavailable: .coordinatorNotAvailable
        case .fenced, .closed, .corrupt, .log: .notCoordinator
        }
    }
}

extension Ledger {
    /// `submit` with the answer as a future that never fails.
    func submit(
        _ command: LedgerCommand, on loop: any EventLoop
    ) -> EventLoopFuture<Result<LedgerAnswer, LedgerError>> {
        let promise = loop.makePromise(of: Result<LedgerAnswer, LedgerError>.self)
        submit(command) { promise.succeed($0) }
        return promise.futureResult
    }
}
