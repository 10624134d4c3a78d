import GNSS

/// What a caster answers, byte for byte.
///
/// Version 1 has lines of its own, version 2 is HTTP. BKG's ntripserver gives up for good on `ERROR - Bad Password`, 400, 401 and 501,
/// so those are sent only when they are true.
enum NTRIPReply: Equatable {
    case sourceAccepted(isVersion2: Bool)
    case badPassword(isVersion2: Bool, mountpoint: String)
    case unknownMountpoint(isVersion2: Bool)
    case mountpointTaken(isVersion2: Bool)
    case missingMountpoint
    case badRequest
    case headTooLarge
    case notImplemented(String)
    case sourcetable(Sourcetable, isVersion2: Bool)

    static let server = "NTRIP Cairn/1.0"

    func text(nowMs: Int64) -> String {
        switch self {
        // RTKLIB and ntripserver need the first line only; ntripstreams waits for the empty one, and nobody minds it.
        case .sourceAccepted(isVersion2: false): "ICY 200 OK\r\n\r\n"
        case .sourceAccepted(isVersion2: true): head("200 OK", nowMs, [("Cache-Control", "no-store")])
        case .badPassword(isVersion2: false, _): "ERROR - Bad Password\r\n"
        case .badPassword(isVersion2: true, let mountpoint):
            http("401 Unauthorized", nowMs, [("WWW-Authenticate", "Basic realm=\"/\(mountpoint)\"")])
        case .unknownMountpoint(isVersion2: false), .mountpointTaken(isVersion2: false):
            "ERROR - Mount Point Taken or Invalid\r\n"
        case .unknownMountpoint(isVersion2: true): http("404 Not Found", nowMs)
        case .mountpointTaken(isVersion2: true): http("409 Conflict", nowMs)
        case .missingMountpoint: "ERROR - Missing Mountpoint\r\n"
        case .badRequest: http("400 Bad Request", nowMs)
        case .headTooLarge: http("431 Request Header Fields Too Large", nowMs)
        case .notImplemented(let what): http("501 Not Implemented", nowMs, body: what + "\r\n")
        case .sourcetable(let table, let isVersion2): sourcetable(table, isVersion2, nowMs)
        }
    }

    private func sourcetable(_ table: Sourcetable, _ isVersion2: Bool, _ nowMs: Int64) -> String {
        let body = table.text
        let length = String(body.utf8.count)
        guard isVersion2 else {
            return "SOURCETABLE 200 OK\r\nServer: \(Self.server)\r\nDate: \(HTTPDate.text(nowMs))\r\n"
                + "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: \(length)\r\n\r\n" + body
        }
        return head("200 OK", nowMs, [("Content-Type", "gnss/sourcetable"), ("Content-Length", length)]) + body
    }

    private func http(_ status: String, _ nowMs: Int64, _ fields: [(String, String)] = [], body: String = "") -> String
    {
        let content = body.isEmpty ? [] : [("Content-Type", "text/plain")]
        return head(status, nowMs, fields + content + [("Content-Length", String(body.utf8.count))]) + body
    }

    private func head(_ status: String, _ nowMs: Int64, _ fields: [(String, String)]) -> String {
        let all =
            [("Ntrip-Version", "Ntrip/2.0"), ("Server", Self.server), ("Date", HTTPDate.text(nowMs))] + fields
            + [("Connection", "close")]
        return "HTTP/1.1 \(status)\r\n" + all.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`. Source: RFC 9110 section 5.6.7.
enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    static func text(_ nowMs: Int64) -> String {
        let time = GNSSTime(utcMs: nowMs)
        let (year, month, day) = time.date
        let seconds = Int(time.timeOfDayMs) / 1000
        let daysSince1970 = (nowMs - Int64(time.timeOfDayMs)) / 86_400_000
        let weekday = days[Int((daysSince1970 % 7 + 7) % 7)]
        let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map(two).joined(separator: ":")
        return "\(weekday), \(two(day)) \(months[month - 1]) \(year) \(clock) GMT"
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
