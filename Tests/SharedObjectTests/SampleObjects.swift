import KafkaProtocol
import NIOCore

@testable import SharedObject

/// SplitMix64: same seed, same numbers.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

enum Sample {
    static let incarnation = "0123456789abcdef0123456789abcdef"

    static let header = ObjectHeader.site(
        "quarry", incarnation: incarnation, lane: "critical", sequence: 7, firstLSN: 100, lastLSN: 199,
        createdMs: 1_700_000_000_000)

    static func batch(
        records: Int, baseMs: Int64 = 1000, producerID: Int64 = -1, sequence: Int32 = -1, bytes: Int = 20
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            producerID: producerID, producerEpoch: producerID < 0 ? -1 : 3, baseSequence: sequence)
        for index in 0..<records {
            builder.append(
                timestampMs: baseMs + Int64(index), key: ByteBuffer(string: "k\(index)"),
                value: ByteBuffer(repeating: UInt8(truncatingIfNeeded: index), count: bytes))
        }
        return builder.finish()
    }

    /// Three topic-partitions, one of them with a gap in its local offsets and one with an idempotent producer.
    static func object() throws -> (body: ByteBuffer, footer: ObjectFooter) {
        var writer = try ObjectWriter(header: header)
        try writer.append(batch(records: 3), topic: "rtcm", partition: 1, localOffset: 50)
        try writer.append(
            batch(records: 2, producerID: 9, sequence: 4), topic: "nmea", partition: 0, localOffset: 0)
        try writer.append(batch(records: 4, baseMs: 900), topic: "rtcm", partition: 1, localOffset: 53)
        try writer.append(batch(records: 1), topic: "rtcm", partition: 0, localOffset: 8)
        try writer.append(
            batch(records: 5, producerID: 9, sequence: 6), topic: "nmea", partition: 0, localOffset: 2)
        try writer.append(batch(records: 1), topic: "rtcm", partition: 1, localOffset: 60)
        return writer.finish()
    }
}
