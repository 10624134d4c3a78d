import KafkaProtocol
import NIOCore

/// What a gateway demands of one batch of a producer before it may enter a log: Kafka's rules P1 to P5, but for the times of
/// records, which are data here: a gateway's clock may be wrong, and nothing is refused for it.
struct BatchCheck: Sendable {
    /// Kafka's `max.message.bytes`.
    var batchBytesMax: Int

    /// The only batch in `records`, as it is to be stored, or why it is refused.
    func check(_ records: ByteBuffer?, produceVersion: Int16) -> Result<AdmittedBatch, BatchRefusal> {
        var rules = ProduceRules(nowMs: 0)
        rules.batchBytesMax = batchBytesMax
        rules.afterMaxMs = .max
        rules.produceVersion = produceVersion
        return RecordBatch.admit(records, rules: rules).flatMap { batch in
            guard !batch.header.isTransactional else {
                return .failure(BatchRefusal(.invalidTxnState, "this gateway has no transactions"))
            }
            return .success(batch)
        }
    }
}
