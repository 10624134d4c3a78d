public import NIOCore

/// What a record of a control batch says: the type in its key. Source: Kafka 4.3, `ControlRecordType`.
public enum ControlRecordType: Int16, Sendable, Equatable, CaseIterable {
    case abort = 0
    case commit = 1
    case leaderChange = 2
    case snapshotHeader = 3
    case snapshotFooter = 4
    case kraftVersion = 5
    case kraftVoters = 6
}

/// The end of a transaction in one partition: a control batch of one record.
///
/// Its key is version (int16) 0 and the ``ControlRecordType`` (int16), its value version (int16) 0 and the coordinator's
/// epoch (int32), all big-endian. Source: Kafka 4.3, `EndTransactionMarker`.
public struct EndTransactionMarker: Sendable, Equatable {
    public var isCommit: Bool
    public var coordinatorEpoch: Int32

    public init(isCommit: Bool, coordinatorEpoch: Int32) {
        self.isCommit = isCommit
        self.coordinatorEpoch = coordinatorEpoch
    }

    /// The marker as a batch, with base offset 0 and no leader epoch.
    public func batch(producerID: Int64, producerEpoch: Int16, timestampMs: Int64) -> ByteBuffer {
        var key = ByteBuffer()
        key.writeMultipleIntegers(Int16(0), (isCommit ? ControlRecordType.commit : .abort).rawValue)
        var value = ByteBuffer()
        value.writeMultipleIntegers(Int16(0), coordinatorEpoch)
        var builder = RecordBatchBuilder(
            producerID: producerID, producerEpoch: producerEpoch, isTransactional: true, isControl: true)
        builder.append(timestampMs: timestampMs, key: key, value: value)
        return builder.flush()
    }

    /// The marker in a stored batch; nil where the batch is none: not a control batch, a control batch of another kind, or
    /// one that compaction has emptied.
    public init?(reading batch: ByteBuffer) throws(RecordBatchError) {
        var reader = try RecordBatchReader(stored: batch)
        guard reader.header.isControl, let record = try reader.next() else { return nil }
        switch try record.controlType {
        case .abort: isCommit = false
        case .commit: isCommit = true
        default: return nil
        }
        guard var value = record.value, let version = value.readInteger(as: Int16.self), version >= 0,
            let epoch = value.readInteger(as: Int32.self)
        else { throw .recordMalformed(index: 0, reason: .controlInvalid) }
        coordinatorEpoch = epoch
    }
}

extension RecordBatch {
    /// What a stored control batch says; nil for a batch that is not one or is empty, and for types that nobody knows.
    public static func controlType(of batch: ByteBuffer) throws(RecordBatchError) -> ControlRecordType? {
        var reader = try RecordBatchReader(stored: batch)
        guard reader.header.isControl, let record = try reader.next() else { return nil }
        return try record.controlType
    }
}

extension Record {
    fileprivate var controlType: ControlRecordType? {
        get throws(RecordBatchError) {
            guard var key = key, let version = key.readInteger(as: Int16.self), version >= 0,
                let type = key.readInteger(as: Int16.self)
            else { throw .recordMalformed(index: 0, reason: .controlInvalid) }
            return ControlRecordType(rawValue: type)
        }
    }
}
