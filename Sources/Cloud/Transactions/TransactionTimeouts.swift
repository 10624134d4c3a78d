import KafkaProtocol
import Ledger
import Logging

/// Ends transactions whose producers have gone (rule T9), and forgets ids that nobody uses.
struct TransactionTimeouts: Sendable {
    let ledger: Ledger
    let configuration: TransactionConfiguration
    let world: CloudWorld
    let logger: Logger

    /// One look. What fails is tried again by the next one.
    func round() async {
        let nowMs = world.wallMs()
        for id in ledger.view.overdueTransactions(nowMs: nowMs) {
            do throws(LedgerError) {
                _ = try await ledger.submit(
                    .abortOverdueTransaction(AbortOverdueTransaction(transactionalID: id, nowMs: nowMs)))
                logger.notice("a transaction was aborted: it outlived its timeout", metadata: ["id": "\(id)"])
            } catch {
                logger.warning("cannot abort a transaction", metadata: ["id": "\(id)", "error": "\(error)"])
                return
            }
        }
        let idleSinceMs = nowMs - configuration.idExpirationMs
        if idleSinceMs > 0 {
            _ = try? await ledger.submit(.expireTransactions(idleSinceMs: idleSinceMs, nowMs: nowMs))
        }
    }
}
