/// Readers of the written forms of settings. Each returns the value or a sentence that says what was expected.
enum SettingValue {
    struct Malformed: Error, Equatable {
        let expected: String
    }

    /// `64MiB`, `8 KiB`, `1048576`: bytes; units are powers of 1024.
    static func size(_ text: String) throws(Malformed) -> Int {
        let units: [(String, Int)] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)]
        for (suffix, factor) in units where text.hasSuffix(suffix) {
            let (number, overflow) = try wholeNumber(text.dropLast(suffix.count)).multipliedReportingOverflow(
                by: factor)
            guard !overflow else { break }
            return number
        }
        return try wholeNumber(text[...])
    }

    private static func wholeNumber(_ text: Substring) throws(Malformed) -> Int {
        guard let number = Int(text.filter { $0 != " " }), number >= 0 else {
            throw Malformed(expected: "expected a size such as 65536, 64KiB, 8MiB or 4GiB")
        }
        return number
    }

    /// `250ms`, `5s`, `10m`, `2h`, `7d`.
    static func duration(_ text: String) throws(Malformed) -> Duration {
        let units: [(String, Int)] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        for (suffix, factor) in units where text.hasSuffix(suffix) {
            guard let number = Int(text.dropLast(suffix.count)), number >= 0, number < 10_000_000 else { continue }
            return .milliseconds(number * factor)
        }
        throw Malformed(expected: "expected a time such as 250ms, 5s, 10m, 2h or 7d")
    }

    /// `host:port` or `[v6]:port`; the empty text is no address.
    static func address(_ text: String) throws(Malformed) -> HostPort? {
        guard !text.isEmpty else { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw Malformed(expected: "expected host:port, for example 0.0.0.0:9092")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw Malformed(expected: "expected a host before the colon, for example 0.0.0.0") }
        return HostPort(host: String(host), port: Int(port))
    }

    static func flag(_ text: String) throws(Malformed) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default: throw Malformed(expected: "expected true or false")
        }
    }

    static func count(_ text: String, in range: ClosedRange<Int>) throws(Malformed) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw Malformed(expected: "expected a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// One item of a list of things with options: `NAME[:password] option=value option=value`.
    static func item(_ text: String, options known: Set<String>) throws(Malformed) -> SettingItem {
        let words = text.split(separator: " ").map(String.init)
        guard let first = words.first else { throw Malformed(expected: "expected an entry that is not empty") }
        var options: [String: String] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, known.contains(parts[0]) else {
                throw Malformed(
                    expected:
                        "'\(word)' is no option here; known are \(known.sorted().map { $0 + "=" }.joined(separator: " "))"
                )
            }
            options[parts[0]] = parts[1]
        }
        return SettingItem(head: first, options: options)
    }
}

/// An address to listen on or to connect to.
struct HostPort: Sendable, Equatable, CustomStringConvertible {
    var host: String
    var port: Int
    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// One entry of a list setting: the thing itself and its `name=value` options.
struct SettingItem: Sendable, Equatable {
    let head: String
    let options: [String: String]
}
