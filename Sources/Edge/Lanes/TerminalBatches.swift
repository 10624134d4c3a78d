import KafkaProtocol
import NIOCore

/// Builds the batches of one partition from a terminal's records, each below the size limit.
struct TerminalBatches {
    struct Batch {
        let bytes: ByteBuffer
        let header: RecordBatchHeader
        /// See `LogEntry.hasGatewayTimes`.
        let hasGatewayTimes: Bool
    }

    let batchBytesMax: Int
    private var open = RecordBatchBuilder()
    /// Of all records in `open`.
    private var hasGatewayTimes = false
    private var closed: [(bytes: ByteBuffer, hasGatewayTimes: Bool)] = []
    private let now: WallReading

    /// - Parameter now: what the log will keep beside the batches.
    init(batchBytesMax: Int, now: WallReading) {
        self.batchBytesMax = batchBytesMax
        self.now = now
    }

    /// Throws where the record alone would be too large for a batch.
    mutating func append(_ record: TerminalRecord) throws(DeliveryRefusal) {
        let bytes = Self.bytesMax(record)
        guard RecordBatchHeader.sizeBytes + bytes <= batchBytesMax else {
            throw DeliveryRefusal("record of about \(bytes) bytes, batch limit \(batchBytesMax)")
        }
        let isOurs = record.arrivedNs != nil
        if !open.isEmpty, open.sizeBytes + bytes > batchBytesMax || isOurs != hasGatewayTimes { close() }
        hasGatewayTimes = isOurs
        open.append(
            timestampMs: record.timeMs(now), key: record.key, value: record.value, headers: record.headers)
    }

    mutating func finish() throws(DeliveryRefusal) -> [Batch] {
        close()
        var batches: [Batch] = []
        for (bytes, hasGatewayTimes) in closed {
            do {
                let header = try RecordBatchHeader(reading: bytes, at: bytes.readerIndex)
                batches.append(Batch(bytes: bytes, header: header, hasGatewayTimes: hasGatewayTimes))
            } catch {
                throw DeliveryRefusal("a batch of our own does not read: \(error)")
            }
        }
        return batches
    }

    private mutating func close() {
        guard !open.isEmpty else { return }
        closed.append((open.finish(), hasGatewayTimes))
        open = RecordBatchBuilder()
    }

    /// Upper bound: every variable-length integer at its longest.
    private static func bytesMax(_ record: TerminalRecord) -> Int {
        let fields = (record.key?.readableBytes ?? 0) + record.value.readableBytes
        return record.headers.reduce(fields + 40) { sum, header in
            sum + header.key.utf8.count + (header.value?.readableBytes ?? 0) + 10
        }
    }
}
