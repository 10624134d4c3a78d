public import NIOCore

extension RecordBatch {
    /// Checks what a producer sent for one partition against all rules and opens it for that, whatever its codec. Costs some
    /// 10 ns a record that is not compressed.
    ///
    /// The order of the checks, and so the error where several rules are broken, is that of Kafka.
    public static func admit(
        _ records: ByteBuffer?, rules: ProduceRules
    ) -> Result<AdmittedBatch, BatchRefusal> {
        guard let batch = records, batch.readableBytes > 0 else {
            return .failure(BatchRefusal(.invalidRecord, "no record batch: a partition must have exactly one"))
        }
        do throws(BatchRefusal) {
            let header = try admittedHeader(of: batch, rules)
            let payload: ByteBuffer
            do throws(RecordBatchError) {
                payload = try self.payload(of: batch, header, limitBytes: rules.decompressedBytesMax)
            } catch { throw BatchRefusal(error) }
            let survey = try payload.withUnsafeReadableBytes { bytes in
                RecordSurvey.walk(bytes, header, rules)
            }.get()
            return .success(try stored(batch, header, payload, survey, rules))
        } catch {
            return .failure(error)
        }
    }

    // MARK: The header

    private static func admittedHeader(
        of batch: ByteBuffer, _ rules: ProduceRules
    ) throws(BatchRefusal) -> RecordBatchHeader {
        let header: RecordBatchHeader
        do {
            header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        } catch { throw BatchRefusal(error) }
        if let refusal = wholeness(of: batch, header, rules) { throw refusal }
        if let error = batch.withUnsafeReadableBytes({ checkCRC($0, header) }) { throw BatchRefusal(error) }
        if let refusal = content(of: header) { throw refusal }
        return header
    }

    /// P1, P2 for the base offset, and P4: exactly one batch that is not too large.
    private static func wholeness(
        of batch: ByteBuffer, _ header: RecordBatchHeader, _ rules: ProduceRules
    ) -> BatchRefusal? {
        let sizeBytes = header.totalSizeBytes
        guard sizeBytes <= batch.readableBytes else {
            return BatchRefusal(.truncated(neededBytes: sizeBytes, availableBytes: batch.readableBytes))
        }
        if header.compression == .zstd, rules.produceVersion < 7 {
            return BatchRefusal(.unsupportedCompressionType, "zstd needs version 7 of Produce")
        }
        guard sizeBytes == batch.readableBytes else {
            return BatchRefusal(.trailingBytes(batchBytes: sizeBytes, bufferBytes: batch.readableBytes))
        }
        if header.baseOffset != 0 {
            return BatchRefusal(.invalidRecord, "the base offset of a client is 0, not \(header.baseOffset)")
        }
        return tooLarge(sizeBytes, rules)
    }

    private static func tooLarge(_ sizeBytes: Int, _ rules: ProduceRules) -> BatchRefusal? {
        guard sizeBytes > rules.batchBytesMax else { return nil }
        return BatchRefusal(.messageTooLarge, "a batch of \(sizeBytes) bytes, limit \(rules.batchBytesMax)")
    }

    /// P2, and of P5 what the header alone shows.
    private static func content(of header: RecordBatchHeader) -> BatchRefusal? {
        let count = header.recordCount
        guard count > 0, count - 1 == header.lastOffsetDelta, header.hasRoomForRecords else {
            return BatchRefusal(header.countError)
        }
        if header.isControl { return BatchRefusal(.invalidRecord, "clients may not write control records") }
        if header.producerID >= 0, header.baseSequence < 0 || header.producerEpoch < 0 {
            return BatchRefusal(.invalidRecord, "producer \(header.producerID) without a sequence or an epoch")
        }
        if header.hasDeleteHorizon { return BatchRefusal(.invalidRecord, "clients may not set a delete horizon") }
        if header.usesLogAppendTime {
            return BatchRefusal(.invalidTimestamp, "clients may not set the timestamp type to LogAppendTime")
        }
        return nil
    }

    // MARK: What is stored

    /// P6, and the codec of the topic. The header's largest timestamp is put right where the producer's was wrong.
    private static func stored(
        _ batch: ByteBuffer, _ header: RecordBatchHeader, _ payload: ByteBuffer, _ survey: RecordSurvey,
        _ rules: ProduceRules
    ) throws(BatchRefusal) -> AdmittedBatch {
        var admitted = header
        var maxTimestampOffsetDelta = survey.maxTimestampOffsetDelta
        admitted.maxTimestamp = survey.maxTimestampMs
        if rules.timestampType == .logAppendTime {
            admitted.attributes |= RecordBatchHeader.logAppendTimeBit
            admitted.maxTimestamp = rules.nowMs
            maxTimestampOffsetDelta = 0
        }
        var bytes = batch
        if case .codec(let codec) = rules.compression, codec.compression != header.compression {
            bytes = admitted.batch(payload, codec)
        } else if admitted != header {
            // A copy of our own: the buffer shares storage with the request.
            bytes = ByteBuffer()
            bytes.writeImmutableBuffer(batch)
            admitted.seal(&bytes)
        }
        if let refusal = tooLarge(bytes.readableBytes, rules) { throw refusal }
        do throws(RecordBatchError) {
            return AdmittedBatch(
                batch: bytes, header: try RecordBatchHeader(reading: bytes, at: bytes.readerIndex),
                maxTimestampMs: admitted.maxTimestamp, maxTimestampOffsetDelta: maxTimestampOffsetDelta,
                openedBytes: payload.readableBytes)
        } catch { throw BatchRefusal(error) }
    }
}

extension RecordBatchHeader {
    static let logAppendTimeBit: Int16 = 1 << 3
    static let deleteHorizonBit: Int16 = 1 << 6
    private static let codecBits: Int16 = 7

    /// A batch with this header, but for codec, length and CRC, around `payload`. A payload that does not get smaller stays
    /// as it is.
    func batch(_ payload: ByteBuffer, _ codec: RecordBatchBuilder.Codec) -> ByteBuffer {
        var plain = ByteBuffer()
        plain.reserveCapacity(Self.sizeBytes + payload.readableBytes)
        plain.writeRepeatingByte(0, count: Self.sizeBytes)
        plain.writeImmutableBuffer(payload)
        let compressed = PayloadCodec.compress(plain, skipping: Self.sizeBytes, codec)
        var batch = compressed ?? plain
        var header = self
        let stored = compressed == nil ? Compression.none : codec.compression
        header.attributes = attributes & ~Self.codecBits | Int16(stored.rawValue)
        header.seal(&batch)
        return batch
    }
}
