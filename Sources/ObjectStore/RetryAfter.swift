/// The `Retry-After` header of HTTP (RFC 9110, 10.2.3), of any server.
public enum RetryAfter {
    /// The longest pause that is believed.
    public static let pauseMax = Duration.seconds(3600)

    /// - Parameters:
    ///   - text: the header: seconds, or a date.
    ///   - date: the reply's own `Date` header, from which a date is counted: our clock may be wrong by years.
    /// - Returns: nil if there is none, or a date without a `Date` or before it.
    public static func parse(_ text: String?, date: String?) -> Duration? {
        guard let text else { return nil }
        let digits = text.utf8.allSatisfy { (0x30...0x39).contains($0) }
        if digits, !text.isEmpty { return Int(text).map { min(.seconds(min($0, 1 << 40)), pauseMax) } ?? pauseMax }
        guard let then = TimeText.parseHTTPDate(text), let now = date.flatMap(TimeText.parseHTTPDate), then >= now
        else {
            return nil
        }
        return min(.milliseconds(then - now), pauseMax)
    }
}
