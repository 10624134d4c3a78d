public import NIOCore

/// What a run of bytes from a terminal turned out to be.
public enum FrameKind: Sendable, Hashable {
    /// RTCM 10403 version 3: `D3`, 10-bit length, payload, CRC-24Q.
    case rtcm
    /// NMEA 0183: `$` or `!`, text, `*`, checksum, CR LF.
    case nmea
    /// u-blox binary: `B5 62`, class, id, length, payload, Fletcher checksum.
    case ubx
    /// Bytes in which no frame with a right checksum was found.
    case unknown
}

/// One frame, or one run of unknown bytes, as it stood in the stream.
///
/// - Shape: `bytes` is the whole frame with its header and checksum, a slice of what was received.
/// - Units: `position` counts the bytes of the stream before this one.
public struct Frame: Sendable, Equatable {
    public var kind: FrameKind
    public var bytes: ByteBuffer
    public var position: UInt64

    public init(kind: FrameKind, bytes: ByteBuffer, position: UInt64) {
        self.kind = kind
        self.bytes = bytes
        self.position = position
    }

    /// The stream position after the last byte.
    public var end: UInt64 { position + UInt64(bytes.readableBytes) }

    public var type: FrameType {
        switch kind {
        case .rtcm: .rtcm(RTCM.messageNumber(bytes))
        case .nmea: .nmea(NMEA.type(bytes))
        case .ubx:
            if let id = UBX.id(bytes) { .ubx(id) } else { .unknown }
        case .unknown: .unknown
        }
    }
}

/// The type of a message, small enough to count by. Its description is what the record header `type` carries.
public enum FrameType: Sendable, Hashable, CustomStringConvertible {
    /// Message number, 0 to 4095; nil for the empty filler frame.
    case rtcm(UInt16?)
    case nmea(NMEAType)
    case ubx(UBXMessageID)
    case unknown

    public var description: String {
        switch self {
        case .rtcm(let number?): "rtcm:\(number)"
        case .rtcm(nil): "rtcm:empty"
        case .nmea(let type): "nmea:\(type)"
        case .ubx(let id): "ubx:\(id)"
        case .unknown: "unknown"
        }
    }
}
