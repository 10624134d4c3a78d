public import NIOCore

/// Reading whole UBX frames. Source: u-blox F9 HPG 1.13 interface description, sections 3.2 and 3.10 and later.
public enum UBX {
    static let headerBytes = 6
    static let trailerBytes = 2

    /// Nil for fewer than four bytes.
    public static func id(_ frame: ByteBuffer) -> UBXMessageID? {
        frame.getInteger(at: frame.readerIndex + 2, as: UInt16.self).map(UBXMessageID.init)
    }

    public static func payload(_ frame: ByteBuffer) -> ByteBuffer {
        let lengthBytes = max(0, frame.readableBytes - headerBytes - trailerBytes)
        return frame.getSlice(at: frame.readerIndex + headerBytes, length: lengthBytes) ?? ByteBuffer()
    }

    /// GPS time of week in ms of the navigation epoch; nil for messages without one.
    public static func timeOfWeekMs(_ frame: ByteBuffer) -> UInt32? {
        guard let id = id(frame) else { return nil }
        let payload = payload(frame)
        switch (id.messageClass, id) {
        case (_, .receiverRaw):
            return measurementTimeOfWeekMs(payload)
        case (0x01, .navigationOdometerReset):
            return nil
        case (0x01, .surveyIn), (0x01, .relativePosition), (0x01, .highPrecisionPosition),
            (0x01, .highPrecisionGeodetic), (0x01, .odometer), (_, .receiverMeasurements):
            return payload.getInteger(at: payload.readerIndex + 4, endianness: .little)
        case (0x01, _):
            return payload.getInteger(at: payload.readerIndex, endianness: .little)
        default:
            return nil
        }
    }

    /// RXM-RAWX has it as a double in seconds, by the receiver's own clock, a few ms beside the navigation epoch.
    private static func measurementTimeOfWeekMs(_ payload: ByteBuffer) -> UInt32? {
        guard let bits = payload.getInteger(at: payload.readerIndex, endianness: .little, as: UInt64.self) else {
            return nil
        }
        let milliseconds = (Double(bitPattern: bits) * 1000).rounded()
        return milliseconds >= 0 && milliseconds <= 604_800_000 ? UInt32(milliseconds) : nil
    }
}

/// Class and id of a UBX message. Its description is two hexadecimal numbers, `01-07`.
public struct UBXMessageID: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The class in the high byte.
    public var rawValue: UInt16

    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    public var messageClass: UInt8 { UInt8(rawValue >> 8) }

    public static let highPrecisionPosition = UBXMessageID(rawValue: 0x0113)
    public static let highPrecisionGeodetic = UBXMessageID(rawValue: 0x0114)
    public static let odometer = UBXMessageID(rawValue: 0x0109)
    public static let navigationOdometerReset = UBXMessageID(rawValue: 0x0110)
    public static let surveyIn = UBXMessageID(rawValue: 0x013B)
    public static let relativePosition = UBXMessageID(rawValue: 0x013C)
    public static let endOfEpoch = UBXMessageID(rawValue: 0x0161)
    public static let receiverMeasurements = UBXMessageID(rawValue: 0x0214)
    public static let receiverRaw = UBXMessageID(rawValue: 0x0215)

    public var description: String {
        let text = String(rawValue, radix: 16, uppercase: true)
        let digits = String(repeating: "0", count: 4 - text.count) + text
        return digits.prefix(2) + "-" + digits.suffix(2)
    }

    /// `NAV-PVT` and so on for common messages; nil for others.
    public var name: String? { Self.names[rawValue] }

    private static let names: [UInt16: String] = [
        0x0101: "NAV-POSECEF", 0x0102: "NAV-POSLLH", 0x0103: "NAV-STATUS", 0x0104: "NAV-DOP", 0x0106: "NAV-SOL",
        0x0107: "NAV-PVT", 0x0109: "NAV-ODO", 0x0110: "NAV-RESETODO", 0x0111: "NAV-VELECEF", 0x0112: "NAV-VELNED",
        0x0113: "NAV-HPPOSECEF", 0x0114: "NAV-HPPOSLLH", 0x0120: "NAV-TIMEGPS", 0x0121: "NAV-TIMEUTC",
        0x0122: "NAV-CLOCK", 0x0123: "NAV-TIMEGLO", 0x0124: "NAV-TIMEBDS", 0x0125: "NAV-TIMEGAL",
        0x0126: "NAV-TIMELS", 0x0130: "NAV-SVINFO", 0x0132: "NAV-SBAS", 0x0134: "NAV-ORB", 0x0135: "NAV-SAT",
        0x0136: "NAV-COV", 0x0139: "NAV-GEOFENCE", 0x013B: "NAV-SVIN", 0x013C: "NAV-RELPOSNED", 0x0142: "NAV-SLAS",
        0x0143: "NAV-SIG", 0x0161: "NAV-EOE", 0x0213: "RXM-SFRBX", 0x0214: "RXM-MEASX", 0x0215: "RXM-RAWX",
        0x0232: "RXM-RTCM", 0x0234: "RXM-COR", 0x0401: "INF-WARNING", 0x0402: "INF-NOTICE", 0x0500: "ACK-NAK",
        0x0501: "ACK-ACK", 0x0600: "CFG-PRT", 0x0601: "CFG-MSG", 0x0624: "CFG-NAV5", 0x068A: "CFG-VALSET",
        0x068B: "CFG-VALGET", 0x0A04: "MON-VER", 0x0A09: "MON-HW", 0x0A0B: "MON-HW2", 0x0A31: "MON-SPAN",
        0x0A36: "MON-COMMS", 0x0A37: "MON-HW3", 0x0A38: "MON-RF", 0x0D01: "TIM-TP", 0x0D03: "TIM-TM2",
        0x0D04: "TIM-SVIN", 0x1002: "ESF-MEAS", 0x1003: "ESF-RAW", 0x1010: "ESF-STATUS", 0x1015: "ESF-INS",
        0x2701: "SEC-SIGN", 0x2703: "SEC-UNIQID",
    ]
}
