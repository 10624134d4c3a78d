import KafkaProtocol

/// One extent in 40 bytes. Its last offset is one less than the next extent's base offset (or the high watermark):
/// extents leave no hole between them.
struct PackedExtent: Sendable, Equatable {
    var baseOffset: Int64
    /// A positive number is an object's. A negative one is a place in a volume's log or, with bit 62, a marker.
    var object: Int64
    var minTimestampMs: Int64
    var maxTimestampMs: Int64
    var position: UInt32
    var lengthBytes: UInt32

    /// Whether `next` follows directly in the same object.
    func isContinued(by next: PackedExtent) -> Bool {
        object > 0 && object == next.object && UInt64(position) + UInt64(lengthBytes) == UInt64(next.position)
            && !lengthBytes.addingReportingOverflow(next.lengthBytes).overflow
    }
}

/// What a negative object number says.
///
/// Bit 63 is set. Bit 62: a marker; the bits below are its producer id, and `position` is its epoch with bit 16 for commit.
/// Else bits 48 to 61 are the number of a volume, the bits below a log sequence number.
extension PackedExtent {
    enum Source: Equatable {
        case object(Int64)
        case log(volume: UInt16, lsn: UInt64)
        case marker(TransactionMarker)
    }

    static let volumesMax = 1 << 14
    static let lsnMax: UInt64 = (1 << 48) - 1
    static let producerIDMax: Int64 = (1 << 62) - 1
    private static let markerBit: UInt64 = 1 << 62
    private static let signBit: UInt64 = 1 << 63

    var source: Source {
        guard object < 0 else { return .object(object) }
        let bits = UInt64(bitPattern: object)
        if bits & Self.markerBit != 0 {
            return .marker(
                TransactionMarker(
                    producerID: Int64(bits & (Self.markerBit - 1)), epoch: Int16(truncatingIfNeeded: position & 0xffff),
                    commits: position & 1 << 16 != 0))
        }
        return .log(volume: UInt16(bits >> 48 & 0x3fff), lsn: bits & Self.lsnMax)
    }

    init(marker: TransactionMarker, at offset: Int64, nowMs: Int64) {
        self.init(
            baseOffset: offset,
            object: Int64(
                bitPattern: Self.signBit | Self.markerBit | UInt64(bitPattern: marker.producerID) & (Self.markerBit - 1)
            ),
            minTimestampMs: nowMs, maxTimestampMs: nowMs,
            position: UInt32(UInt16(bitPattern: marker.epoch)) | (marker.commits ? 1 << 16 : 0),
            lengthBytes: UInt32(TransactionMarker.batchBytes))
    }

    static func log(volume: UInt16, lsn: UInt64) -> Int64 {
        Int64(bitPattern: signBit | UInt64(volume & 0x3fff) << 48 | lsn & lsnMax)
    }
}
