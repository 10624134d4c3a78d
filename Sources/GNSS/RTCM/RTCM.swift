public import NIOCore

/// Reading whole RTCM 3 frames: header, payload, CRC. Fields out of range of the frame come back as nil.
///
/// Source: RTCM 10403.3, sections 3.4 (data fields) and 3.5 (messages).
public enum RTCM {
    static let headerBytes = 3
    static let trailerBytes = 3

    /// The message number (DF002); nil for a frame with no payload or one byte of it.
    public static func messageNumber(_ frame: ByteBuffer) -> UInt16? {
        guard frame.readableBytes >= headerBytes + 2 + trailerBytes,
            let word = frame.getInteger(at: frame.readerIndex + headerBytes, as: UInt16.self)
        else { return nil }
        return word >> 4
    }

    /// The payload between header and CRC; empty if the frame is shorter than both.
    public static func payload(_ frame: ByteBuffer) -> ByteBuffer {
        let lengthBytes = max(0, frame.readableBytes - headerBytes - trailerBytes)
        return frame.getSlice(at: frame.readerIndex + headerBytes, length: lengthBytes) ?? ByteBuffer()
    }

    /// When the observations of a frame were made, and whether more of the same epoch follow.
    public struct Epoch: Sendable, Hashable {
        public var constellation: Constellation
        /// As sent: time of week in ms (GLONASS MSM: 3-bit day and 27-bit ms of day; GLONASS 1009 to 1012: ms of day).
        public var raw: UInt32
        /// The "multiple message" or "synchronous GNSS" bit: false in the last message of an epoch.
        public var hasMore: Bool
    }

    /// Nil for messages that are not observations.
    public static func epoch(_ frame: ByteBuffer) -> Epoch? {
        guard let number = messageNumber(frame), let (constellation, epochBits) = observation(number) else {
            return nil
        }
        var bits = BitReader(payload(frame))
        bits.skip(24)
        guard let raw = bits.unsigned(epochBits), let hasMore = bits.unsigned(1) else { return nil }
        return Epoch(constellation: constellation, raw: UInt32(raw), hasMore: hasMore == 1)
    }

    /// Both the legacy messages and MSM carry message number, station id, epoch and the bit in this order.
    private static func observation(_ number: UInt16) -> (Constellation, epochBits: Int)? {
        switch number {
        case 1001...1004: (.gps, 30)
        case 1009...1012: (.glonass, 27)
        default: Constellation(msm: number).map { ($0, 30) }
        }
    }
}

/// The satellite systems that have multiple signal messages (MSM).
public enum Constellation: UInt16, Sendable, Hashable, CaseIterable {
    case gps = 1070
    case glonass = 1080
    case galileo = 1090
    case sbas = 1100
    case qzss = 1110
    case beidou = 1120
    case navic = 1130

    /// Nil unless `number` is an MSM, 1071 to 1137.
    public init?(msm number: UInt16) {
        guard 1...7 ~= number % 10 else { return nil }
        self.init(rawValue: number - number % 10)
    }
}
