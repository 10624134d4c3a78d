import KafkaProtocol
import NIOCore

/// What a broker demands of one batch of a producer before it may enter a log: rules P1 to P5; compressed batches are not opened.
struct BatchCheck: Sendable {
    /// Kafka's `max.message.bytes`.
    var batchBytesMax: Int

    /// The header of the only batch in `records`, or why it is refused.
    func check(_ records: ByteBuffer?, produceVersion: Int16) -> Result<RecordBatchHeader, BatchRefusal> {
        guard let records, records.readableBytes > 0 else { return .failure(.init(.invalidRecord, "no record batch")) }
        guard records.readableBytes <= batchBytesMax else {
            return .failure(
                .init(.messageTooLarge, "batch of \(records.readableBytes) bytes, limit \(batchBytesMax)"))
        }
        do {
            let header = try RecordBatch.validateOne(records)
            if let refusal = refuse(header, produceVersion: produceVersion) { return .failure(refusal) }
            try RecordBatch.validateRecords(of: records)
            return .success(header)
        } catch {
            return .failure(BatchRefusal(error))
        }
    }

    private func refuse(_ header: RecordBatchHeader, produceVersion: Int16) -> BatchRefusal? {
        if header.baseOffset != 0 { return .init(.invalidRecord, "base offset \(header.baseOffset) is not 0") }
        if header.isControl { return .init(.invalidRecord, "a client may not write control batches") }
        if header.isTransactional { return .init(.invalidTxnState, "this gateway has no transactions") }
        if header.producerID >= 0, header.baseSequence < 0 || header.producerEpoch < 0 {
            return .init(.invalidRecord, "producer \(header.producerID) without sequence or epoch")
        }
        if header.usesLogAppendTime { return .init(.invalidTimestamp, "a client may not set log append time") }
        if header.compression == .zstd, produceVersion < 7 {
            return .init(.unsupportedCompressionType, "zstd needs Produce version 7")
        }
        return nil
    }
}

/// A batch that does not enter the log.
struct BatchRefusal: Error, Equatable {
    let code: ErrorCode
    let message: String

    init(_ code: ErrorCode, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension BatchRefusal {
    /// P1 and P3: what the bytes alone say.
    init(_ error: RecordBatchError) {
        switch error {
        case .checksumMismatch, .truncated, .lengthInvalid: self.init(.corruptMessage, "\(error)")
        case .unsupportedCompression, .compressionUnknown: self.init(.unsupportedCompressionType, "\(error)")
        case .magicUnsupported, .countInvalid, .timestampsInvalid, .trailingBytes, .decompressionFailed,
            .decompressedTooLarge, .recordMalformed:
            self.init(.invalidRecord, "\(error)")
        }
    }
}
