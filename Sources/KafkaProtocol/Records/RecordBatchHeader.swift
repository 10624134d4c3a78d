import CChecksum
public import NIOCore

/// The fixed header of a record batch, magic 2.
///
/// - Shape: 61 bytes, big-endian. The CRC-32C covers everything from the attributes on, so base offset and leader epoch can
///   be set by whoever serves the batch.
/// - Units: offsets and sequences count records; timestamps are milliseconds since 1970-01-01 UTC, -1 where unknown.
/// - Source: Kafka protocol guide, Record Batch.
public struct RecordBatchHeader: Sendable, Equatable {
    public static let sizeBytes = 61
    /// Base offset and length field: what a batch's length does not count.
    static let overheadBytes = 12

    public internal(set) var baseOffset: Int64 = 0
    /// Bytes after the length field.
    public internal(set) var batchLength: Int32 = 0
    public internal(set) var partitionLeaderEpoch: Int32 = -1
    public internal(set) var magic: Int8 = 2
    public internal(set) var crc: UInt32 = 0
    public internal(set) var attributes: Int16 = 0
    public internal(set) var lastOffsetDelta: Int32 = 0
    public internal(set) var baseTimestamp: Int64 = -1
    public internal(set) var maxTimestamp: Int64 = -1
    public internal(set) var producerID: Int64 = -1
    public internal(set) var producerEpoch: Int16 = -1
    public internal(set) var baseSequence: Int32 = -1
    public internal(set) var recordCount: Int32 = 0

    /// Header and records.
    public var totalSizeBytes: Int { Self.overheadBytes + Int(batchLength) }
    public var payloadSizeBytes: Int { totalSizeBytes - Self.sizeBytes }
    public var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }
    /// Sequence of the last record; sequences start again at 0 after 2147483647. -1 where the batch has none.
    public var lastSequence: Int32 {
        baseSequence < 0 ? -1 : (baseSequence &+ lastOffsetDelta) & Int32.max
    }

    public var compression: Compression { Compression(rawValue: codec) ?? .none }
    /// The timestamps of the records are ``maxTimestamp``, the time when a broker took them.
    public var usesLogAppendTime: Bool { attributes & 1 << 3 != 0 }
    public var isTransactional: Bool { attributes & 1 << 4 != 0 }
    public var isControl: Bool { attributes & 1 << 5 != 0 }
    /// ``baseTimestamp`` is when tombstones may go, not a time of records (KIP-534).
    public var hasDeleteHorizon: Bool { attributes & 1 << 6 != 0 }

    /// The same for somebody who must not know the producer: a log that leaves idempotence to others.
    public var withoutProducer: RecordBatchHeader {
        var copy = self
        copy.producerID = -1
        copy.producerEpoch = -1
        copy.baseSequence = -1
        return copy
    }

    var codec: UInt8 { UInt8(truncatingIfNeeded: attributes) & 7 }

    /// Reads the header at absolute index `index` of `buffer`. The whole batch need not be there, the whole header must.
    ///
    /// Checks the magic, the codec number and that the length covers a header; ``RecordBatch`` checks the rest.
    @inlinable
    public init(reading buffer: ByteBuffer, at index: Int) throws(RecordBatchError) {
        let offset = index - buffer.readerIndex
        let result = buffer.withUnsafeReadableBytes { Self.parse($0, at: offset) }
        self = try result.get()
    }

    @usableFromInline
    static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Result<RecordBatchHeader, RecordBatchError> {
        guard offset >= 0, bytes.count - offset >= sizeBytes else {
            return .failure(.truncated(neededBytes: sizeBytes, availableBytes: max(0, bytes.count - offset)))
        }
        let header = RecordBatchHeader(header: UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + sizeBytes)]))
        guard header.magic == 2 else { return .failure(.magicUnsupported(header.magic)) }
        guard header.batchLength >= sizeBytes - overheadBytes else {
            return .failure(.lengthInvalid(lengthBytes: header.batchLength))
        }
        guard Compression(rawValue: header.codec) != nil else {
            return .failure(.compressionUnknown(codec: header.codec))
        }
        return .success(header)
    }

    /// No producer, no leader, no records.
    init() {}

    private init(header bytes: UnsafeRawBufferPointer) {
        func load<Integer: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> Integer {
            Integer(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Integer.self))
        }
        baseOffset = load(0)
        batchLength = load(8)
        partitionLeaderEpoch = load(12)
        magic = load(16)
        crc = load(17)
        attributes = load(21)
        lastOffsetDelta = load(23)
        baseTimestamp = load(27)
        maxTimestamp = load(35)
        producerID = load(43)
        producerEpoch = load(51)
        baseSequence = load(53)
        recordCount = load(57)
    }

    /// Makes this the header of `batch`, which begins with room for one: length and CRC are computed.
    func seal(_ batch: inout ByteBuffer) {
        let begin = batch.readerIndex
        batch.setInteger(baseOffset, at: begin)
        batch.setInteger(Int32(batch.readableBytes - Self.overheadBytes), at: begin + 8)
        batch.setInteger(partitionLeaderEpoch, at: begin + 12)
        batch.setInteger(magic, at: begin + 16)
        batch.setInteger(attributes, at: begin + 21)
        batch.setInteger(lastOffsetDelta, at: begin + 23)
        batch.setInteger(baseTimestamp, at: begin + 27)
        batch.setInteger(maxTimestamp, at: begin + 35)
        batch.setInteger(producerID, at: begin + 43)
        batch.setInteger(producerEpoch, at: begin + 51)
        batch.setInteger(baseSequence, at: begin + 53)
        batch.setInteger(recordCount, at: begin + 57)
        let crc = batch.withUnsafeReadableBytes { bytes in
            let checked = UnsafeRawBufferPointer(rebasing: bytes[RecordBatch.checkedOffset...])
            return cairn_crc32c(0, checked.baseAddress, checked.count)
        }
        batch.setInteger(crc, at: begin + RecordBatch.crcOffset)
    }
}
