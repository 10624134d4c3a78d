public import NIOCore

/// A sentence taken apart into text fields, for showing it; the gateway's hot path uses ``NMEA`` instead.
public struct NMEASentence: Sendable, Equatable {
    /// `GN`, `GP`, `AI` …; `P` for a proprietary sentence.
    public var talker: String
    public var type: String
    /// The fields after the address, empty ones included.
    public var fields: [String]

    /// Nil unless `frame` begins with `$` or `!` and has a `*`. The checksum was the framer's business.
    public init?(_ frame: ByteBuffer) {
        let text = String(decoding: frame.readableBytesView, as: UTF8.self)
        guard let first = text.first, first == "$" || first == "!", let star = text.lastIndex(of: "*") else {
            return nil
        }
        let parts = text[text.index(after: text.startIndex)..<star].split(
            separator: ",", omittingEmptySubsequences: false)
        guard let address = parts.first, !address.isEmpty else { return nil }
        let isProprietary = address.hasPrefix("P") || address.count <= 2
        talker = isProprietary ? String(address.prefix(1)) : String(address.prefix(2))
        type = isProprietary ? String(address) : String(address.dropFirst(2))
        fields = parts.dropFirst().map(String.init)
    }

    func text(_ index: Int) -> String? {
        index < fields.count && !fields[index].isEmpty ? fields[index] : nil
    }

    func number(_ index: Int) -> Double? {
        text(index).flatMap { Double($0) }.flatMap { $0.isFinite ? $0 : nil }
    }

    /// `ddmm.mmmm` or `dddmm.mmmm` with the hemisphere in the next field, as degrees.
    func degrees(_ index: Int) -> Double? {
        guard let value = number(index), let side = text(index + 1) else { return nil }
        let whole = (value / 100).rounded(.towardZero)
        let degrees = whole + (value - whole * 100) / 60
        return side == "S" || side == "W" ? -degrees : degrees
    }
}

/// A fix as GGA reports it. Units: degrees, metres, seconds.
public struct NMEAFix: Sendable, Equatable {
    public var timeOfDayMs: UInt32?
    public var latitude: Double?
    public var longitude: Double?
    /// 0 none, 1 autonomous, 2 differential, 4 RTK fixed, 5 RTK float, up to 8.
    public var quality: Int
    public var satelliteCount: Int?
    public var horizontalDilution: Double?
    public var altitude: Double?
    public var correctionAge: Double?
    public var stationID: String?

    /// Nil if the frame is no GGA.
    public init?(_ frame: ByteBuffer) {
        guard let sentence = NMEASentence(frame), sentence.type == "GGA" else { return nil }
        timeOfDayMs = NMEA.timeOfDayMs(frame)
        latitude = sentence.degrees(1)
        longitude = sentence.degrees(3)
        quality = sentence.text(5).flatMap { Int($0) } ?? 0
        satelliteCount = sentence.text(6).flatMap { Int($0) }
        horizontalDilution = sentence.number(7)
        altitude = sentence.number(8)
        correctionAge = sentence.number(12)
        stationID = sentence.text(13)
    }
}

/// Position, speed and date as RMC reports them. Units: degrees, knots.
public struct NMEAMotion: Sendable, Equatable {
    public var timeOfDayMs: UInt32?
    public var isValid: Bool
    public var latitude: Double?
    public var longitude: Double?
    public var speedKnots: Double?
    public var course: Double?
    /// `ddmmyy`.
    public var date: String?

    /// Nil if the frame is no RMC.
    public init?(_ frame: ByteBuffer) {
        guard let sentence = NMEASentence(frame), sentence.type == "RMC" else { return nil }
        timeOfDayMs = NMEA.timeOfDayMs(frame)
        isValid = sentence.text(1) == "A"
        latitude = sentence.degrees(2)
        longitude = sentence.degrees(4)
        speedKnots = sentence.number(6)
        course = sentence.number(7)
        date = sentence.text(8)
    }
}
