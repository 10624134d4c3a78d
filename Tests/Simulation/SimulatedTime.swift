import KafkaProtocol
import NIOCore
import Synchronization
import WriteAheadLog

/// What time it really is in the world, and what the gateway knows of it.
enum SimulatedTime {
    /// What a right wall clock said when the world began.
    static let beginMs: Int64 = 1_700_000_000_000

    /// A record's headers that tell what its time should be, for who looks at it in the end.
    static func headers(nowMs: Int64, skewMs: Int64) -> [RecordHeader] {
        [
            RecordHeader(key: "true", value: ByteBuffer(string: "\(nowMs - skewMs)")),
            RecordHeader(key: "stamped", value: ByteBuffer(string: "\(nowMs)")),
        ]
    }

    /// Times that the gateway made are right, or say that they are not.
    static func check(_ record: Record, _ tally: inout [String: Int]) throws {
        func text(_ name: String) -> String? {
            record.headers.first { $0.key == name }?.value.map { String(buffer: $0) }
        }
        guard let trueMs = text("true"), let stampedMs = text("stamped") else { return }
        let isMarked = text("cairn-clock") == "unknown"
        guard isMarked ? "\(record.timestampMs)" == stampedMs && stampedMs != trueMs : "\(record.timestampMs)" == trueMs
        else {
            throw SimulationFailure(
                "a record of \(trueMs), stamped \(stampedMs), is delivered at \(record.timestampMs), marked \(isMarked)"
            )
        }
        if isMarked { tally["undated", default: 0] += 1 }
        if trueMs != stampedMs, !isMarked { tally["redated", default: 0] += 1 }
    }
}
