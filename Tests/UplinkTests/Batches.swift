import KafkaProtocol
import NIOCore

@testable import WriteAheadLog

/// Batches as gateways and clients make them.
enum Batches {
    static func plain(_ values: [String], baseMs: Int64 = 1_700_000_000_000) -> ByteBuffer {
        var builder = RecordBatchBuilder()
        for (index, value) in values.enumerated() {
            builder.append(timestampMs: baseMs + Int64(index), value: ByteBuffer(string: value))
        }
        return builder.finish()
    }

    /// A batch of random records: null and empty keys and values, headers, times that go back.
    static func random(
        using random: inout SeededRandom, compression: RecordBatchBuilder.Codec = .none, producerID: Int64 = -1,
        isTransactional: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            compression: compression, producerID: producerID, producerEpoch: producerID < 0 ? -1 : 0,
            baseSequence: producerID < 0 ? -1 : 0, isTransactional: isTransactional)
        let baseMs = Int64.random(in: -1...2_000_000_000_000, using: &random)
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            let headers = (0..<Int.random(in: 0...2, using: &random)).map { index in
                RecordHeader(key: "h\(index)", value: bytes(using: &random))
            }
            builder.append(
                timestampMs: baseMs + Int64.random(in: -5...500, using: &random), key: bytes(using: &random),
                value: bytes(using: &random), headers: headers)
        }
        return builder.finish()
    }

    static func bytes(using random: inout SeededRandom) -> ByteBuffer? {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return nil
        case 1: return ByteBuffer()
        case 2: return ByteBuffer(string: "$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r\n")
        default:
            return ByteBuffer(
                bytes: (0..<Int.random(in: 1...200, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                })
        }
    }

    static func records(_ batch: ByteBuffer) throws -> [Record] {
        var reader = try RecordBatchReader(batch)
        return try reader.readAll()
    }

    static func stored(_ batch: ByteBuffer, offset: Int64, lsn: UInt64 = 1) throws -> StoredBatch {
        StoredBatch(
            lsn: lsn, topic: "t", partition: 0, baseOffset: offset, wallMs: 0, monotonicNs: 0, clockQuality: .gnss,
            header: try RecordBatchHeader(reading: batch, at: batch.readerIndex), batch: batch)
    }
}

/// A record by its offset, without the place it has in its batch.
struct PlacedRecord: Equatable {
    var offset: Int64
    var timestampMs: Int64
    var key: ByteBuffer?
    var value: ByteBuffer?
    var headers: [RecordHeader]

    init(_ record: Record, baseOffset: Int64) {
        offset = baseOffset + Int64(record.offsetDelta)
        timestampMs = record.timestampMs
        key = record.key
        value = record.value
        headers = record.headers
    }
}
