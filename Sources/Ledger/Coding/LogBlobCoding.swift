import NIOCore

/// The records that one append makes durable, under the number and epoch they were written with.
struct LedgerBatch: Equatable {
    var sequence: UInt64
    var epoch: UInt64
    var records: [LedgerRecord]

    func encoded(version: UInt16 = LedgerFrame.version) -> ByteBuffer {
        var writer = LedgerWriter(reservedBytes: 1_024)
        writer.write(sequence)
        writer.write(epoch)
        writer.write(UInt64(records.count))
        for record in records { record.write(to: &writer) }
        return LedgerFrame.blob.wrap(writer.bytes, version: version)
    }

    init(sequence: UInt64, epoch: UInt64, records: [LedgerRecord]) {
        self.sequence = sequence
        self.epoch = epoch
        self.records = records
    }

    /// Decodes what the log keeps under `sequence`; bytes that were written for another number are refused.
    init(_ stored: LogBlob) throws(LedgerFormatError) {
        try self.init(decoding: stored.blob)
        guard sequence == stored.sequence else { throw .sequence(expected: stored.sequence, found: sequence) }
        guard epoch == stored.epoch else { throw .invalidValue(what: "epoch of a log blob") }
    }

    init(decoding frame: ByteBuffer) throws(LedgerFormatError) {
        var reader = try LedgerFrame.blob.open(frame)
        sequence = try reader.readUnsigned()
        epoch = try reader.readUnsigned()
        let count = try reader.readCount()
        records = []
        records.reserveCapacity(min(count, 1_024))
        for _ in 0..<count { records.append(try LedgerRecord(from: &reader)) }
        try reader.expectEnd()
    }
}
