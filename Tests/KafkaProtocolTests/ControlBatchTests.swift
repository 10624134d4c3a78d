import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Control batches")
struct ControlBatchTests {
    @Test("a marker is a control batch of one record, as Kafka writes it")
    func bytes() throws {
        let marker = EndTransactionMarker(isCommit: true, coordinatorEpoch: 7)
        let batch = marker.batch(producerID: 4711, producerEpoch: 3, timestampMs: 1_700_000_000_000)
        let header = try RecordBatch.validateOne(batch)
        #expect(header.isControl && header.isTransactional && header.compression == .none)
        #expect(header.producerID == 4711 && header.producerEpoch == 3 && header.baseSequence == -1)
        #expect(header.recordCount == 1 && header.baseOffset == 0 && header.lastOffsetDelta == 0)
        var reader = try RecordBatchReader(batch)
        let record = try #require(try reader.next())
        #expect(record.key?.hex == "00000001" && record.value?.hex == "000000000007")
        let abort = EndTransactionMarker(isCommit: false, coordinatorEpoch: -1)
        reader = try RecordBatchReader(abort.batch(producerID: 1, producerEpoch: 0, timestampMs: 0))
        let aborted = try #require(try reader.next())
        #expect(aborted.key?.hex == "00000000" && aborted.value?.hex == "0000ffffffff")
    }

    @Test("a marker reads back", arguments: [true, false])
    func roundTrip(_ isCommit: Bool) throws {
        let marker = EndTransactionMarker(isCommit: isCommit, coordinatorEpoch: 12)
        var batch = marker.batch(producerID: 9, producerEpoch: 1, timestampMs: 5)
        RecordBatch.setBaseOffset(1000, leaderEpoch: 2, in: &batch, at: batch.readerIndex)
        #expect(try EndTransactionMarker(reading: batch) == marker)
        #expect(try RecordBatch.controlType(of: batch) == (isCommit ? .commit : .abort))
    }

    @Test("what is no marker is nil, what is half a one is an error")
    func others() throws {
        #expect(try RecordBatch.controlType(of: RecordBatchTests.reference) == nil)
        #expect(try EndTransactionMarker(reading: RecordBatchTests.reference) == nil)
        let emptied = RecordBatch.empty(
            like: try RecordBatch.validateOne(control("00000001", "000000000007")))
        #expect(try RecordBatch.controlType(of: emptied) == nil)
        #expect(try RecordBatch.controlType(of: control("00000002", "")) == .leaderChange)
        #expect(try EndTransactionMarker(reading: control("00000002", "")) == nil)
        #expect(try RecordBatch.controlType(of: control("00000063", "")) == nil)
        // A newer version may have more in key and value.
        #expect(
            try EndTransactionMarker(reading: control("0001000155", "00010000000855"))
                == EndTransactionMarker(isCommit: true, coordinatorEpoch: 8))
        for (key, value) in [("", ""), ("0000", ""), ("ffff0001", "000000000007")] {
            #expect(throws: RecordBatchError.recordMalformed(index: 0, reason: .controlInvalid), "\(key)") {
                try RecordBatch.controlType(of: control(key, value))
            }
        }
        for value in ["", "0000", "0000000000", "ffff00000001"] {
            #expect(throws: RecordBatchError.recordMalformed(index: 0, reason: .controlInvalid), "\(value)") {
                try EndTransactionMarker(reading: control("00000000", value))
            }
        }
    }

    private func control(_ key: String, _ value: String) -> ByteBuffer {
        var builder = RecordBatchBuilder(isTransactional: true, isControl: true)
        builder.append(timestampMs: 0, key: ByteBuffer(hex: key), value: ByteBuffer(hex: value))
        return builder.finish()
    }
}
