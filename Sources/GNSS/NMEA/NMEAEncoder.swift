public import NIOCore

/// Makes valid sentences for the simulator.
public enum NMEAEncoder {
    /// `body` is what stands between `$` and `*`; it is ASCII without `$`, `*` and control characters.
    public static func frame(_ body: String) -> ByteBuffer {
        let bytes = Array(body.utf8)
        let checksum = bytes.withUnsafeBytes { Checksums.xor($0) }
        var frame = ByteBufferAllocator().buffer(capacity: bytes.count + 6)
        frame.writeString("$")
        frame.writeBytes(bytes)
        frame.writeString("*" + padded(Int(checksum), 2, radix: 16) + "\r\n")
        return frame
    }

    public static func gga(_ point: TrackPoint) -> ByteBuffer {
        let altitude = fixed(point.altitude, digits: 3)
        return frame("GNGGA,\(time(point)),\(position(point)),4,18,0.7,\(altitude),M,9.500,M,1.0,0001")
    }

    public static func rmc(_ point: TrackPoint) -> ByteBuffer {
        let date = GNSSTime(utcMs: point.utcMs).date
        let day = padded(date.day, 2) + padded(date.month, 2) + padded(date.year % 100, 2)
        let speed = fixed(point.speedKnots, digits: 3)
        return frame(
            "GNRMC,\(time(point)),A,\(position(point)),\(speed),\(fixed(point.course, digits: 2)),\(day),,,R,V")
    }

    private static func time(_ point: TrackPoint) -> String {
        let ms = Int(GNSSTime(utcMs: point.utcMs).timeOfDayMs)
        let seconds = ms / 1000
        return padded(seconds / 3600, 2) + padded(seconds / 60 % 60, 2) + padded(seconds % 60, 2) + "."
            + padded(ms % 1000 / 10, 2)
    }

    private static func position(_ point: TrackPoint) -> String {
        let latitude = angle(point.latitude, degreeDigits: 2) + (point.latitude < 0 ? ",S," : ",N,")
        return latitude + angle(point.longitude, degreeDigits: 3) + (point.longitude < 0 ? ",W" : ",E")
    }

    /// Degrees and minutes with seven decimals: about 0.2 mm.
    private static func angle(_ degrees: Double, degreeDigits: Int) -> String {
        let steps = Int((abs(degrees) * 60 * 1e7).rounded())
        let minutes = steps / 10_000_000
        return padded(minutes / 60, degreeDigits) + padded(minutes % 60, 2) + "." + padded(steps % 10_000_000, 7)
    }

    private static func fixed(_ value: Double, digits: Int) -> String {
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        let steps = Int((value * Double(scale)).rounded())
        return (steps < 0 ? "-" : "") + String(abs(steps) / scale) + "." + padded(abs(steps) % scale, digits)
    }

    private static func padded(_ value: Int, _ width: Int, radix: Int = 10) -> String {
        let text = String(value, radix: radix, uppercase: true)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}

/// A moving antenna at one instant. Units: degrees, metres, knots.
public struct TrackPoint: Sendable, Equatable {
    public var utcMs: Int64
    public var latitude: Double
    public var longitude: Double
    public var altitude: Double
    public var speedKnots: Double
    public var course: Double

    public init(
        utcMs: Int64, latitude: Double, longitude: Double, altitude: Double, speedKnots: Double, course: Double
    ) {
        self.utcMs = utcMs
        self.latitude = latitude
        self.longitude = longitude
        self.altitude = altitude
        self.speedKnots = speedKnots
        self.course = course
    }
}
