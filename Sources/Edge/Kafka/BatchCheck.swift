import KafkaListener
import KafkaProtocol
import NIOCore

/// What a gateway demands of one batch of a producer before it may enter a log: Kafka's rules P1 to P5, but for the times of
/// records, which are data here: a gateway's clock may be wrong, and nothing is refused for it.
struct BatchCheck: Sendable {
    /// Kafka's `max.message.bytes`.
    var batchBytesMax: Int
    /// Decompressed bytes of all batches together: less than the rules allow where an event loop does it.
    var openedBytesMax = Int.max
    /// A batch was refused that may be right: it opens to more than ``openedBytesMax`` had left.
    private(set) var isTooMuch = false

    init(batchBytesMax: Int, openedBytesMax: Int = .max) {
        self.batchBytesMax = batchBytesMax
        self.openedBytesMax = openedBytesMax
    }

    /// The only batch in `records`, as it is to be stored, or why it is refused.
    mutating func check(_ records: ByteBuffer?, produceVersion: Int16) -> Result<AdmittedBatch, BatchRefusal> {
        var rules = ProduceRules(nowMs: 0)
        rules.batchBytesMax = batchBytesMax
        rules.afterMaxMs = .max
        rules.produceVersion = produceVersion
        let isLess = openedBytesMax < rules.decompressedBytesMax
        if isLess { rules.decompressedBytesMax = openedBytesMax }
        let admitted = RecordBatch.admit(records, rules: rules)
        switch admitted {
        case .success(let batch): if BatchOpening.compressedBytes(records) > 0 { openedBytesMax -= batch.openedBytes }
        case .failure(let refusal): isTooMuch = isLess && refusal.code == .messageTooLarge
        }
        return admitted.flatMap { batch in
            guard !batch.header.isTransactional else {
                return .failure(BatchRefusal(.invalidTxnState, "this gateway has no transactions"))
            }
            return .success(batch)
        }
    }
}
