/// What the cloud may tell a site: names and forms. A gateway applies what it knows and reports what it does not.
///
/// | name | value |
/// | --- | --- |
/// | `topics.<topic>.partitions` | 1 to 10,000; a topic never gets fewer |
/// | `lanes.<lane>.flush` | a time, 10 ms to 1 h |
/// | `uplink.bandwidth` | bytes a second, or `off` |
/// | `log.level` | trace, debug, info, notice, warning or error |
/// | `update` | an ``UpdateOrder`` |
/// | `update.paused` | `yes`: the update is neither downloaded nor installed for now |
public enum Directive: Sendable, Equatable {
    case partitions(topic: String, count: Int32)
    case flush(lane: String, Duration)
    /// Nil: no limit.
    case bandwidth(bytesPerSecond: Int?)
    case logLevel(String)
    case update(UpdateOrder)
    case updatePaused

    public static let logLevels = ["trace", "debug", "info", "notice", "warning", "error"]

    /// Nil when the name is not known or the value is not of its form.
    public init?(_ name: String, _ value: String) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        switch (parts.first, parts.last) {
        case ("topics", "partitions") where parts.count >= 3:
            guard let count = Int32(value), (1...10_000).contains(count) else { return nil }
            // A topic's name may hold dots.
            self = .partitions(topic: parts[1..<(parts.count - 1)].joined(separator: "."), count: count)
        case ("lanes", "flush") where parts.count >= 3:
            guard let time = Self.duration(value), (.milliseconds(10) ... .seconds(3600)).contains(time) else {
                return nil
            }
            self = .flush(lane: parts[1..<(parts.count - 1)].joined(separator: "."), time)
        case ("uplink", "bandwidth") where parts.count == 2:
            if value == "off" {
                self = .bandwidth(bytesPerSecond: nil)
            } else {
                guard let bytes = Self.bytes(value), (1_000...1 << 40).contains(bytes) else { return nil }
                self = .bandwidth(bytesPerSecond: bytes)
            }
        case ("log", "level") where parts.count == 2:
            guard Self.logLevels.contains(value) else { return nil }
            self = .logLevel(value)
        case ("update", "update") where parts.count == 1:
            guard let order = UpdateOrder(value) else { return nil }
            self = .update(order)
        case ("update", "paused") where parts.count == 2:
            guard value == "yes" else { return nil }
            self = .updatePaused
        default: return nil
        }
    }

    /// Nil if it is sound; otherwise what to write instead.
    public static func flaw(_ name: String, _ value: String) -> String? {
        if Directive(name, value) != nil { return nil }
        return "'\(value)': known are topics.TOPIC.partitions=N, lanes.LANE.flush=5s, uplink.bandwidth=64KiB (or off), "
            + "log.level=info, update.paused=yes; update is set by 'cairn site update'"
    }

    /// `250ms`, `5s`, `10m`.
    private static func duration(_ text: String) -> Duration? {
        for (suffix, unit) in [("ms", Int64(1)), ("s", 1_000), ("m", 60_000)] where text.hasSuffix(suffix) {
            guard let count = Int64(text.dropLast(suffix.utf8.count)), (0...1_000_000_000).contains(count) else {
                return nil
            }
            return .milliseconds(count * unit)
        }
        return nil
    }

    /// `65536`, `64KiB`, `1MiB`.
    private static func bytes(_ text: String) -> Int? {
        for (suffix, unit) in [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)] where text.hasSuffix(suffix) {
            guard let count = Int(text.dropLast(3)), (0...1 << 20).contains(count) else { return nil }
            return count * unit
        }
        return Int(text).flatMap { (0...1 << 50).contains($0) ? $0 : nil }
    }
}
