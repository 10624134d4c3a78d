import NIOCore

/// The first lines of a connection to a caster, understood.
///
/// Sources: RTCM 10410.1 (NTRIP 2.0); for version 1 the spellings that RTKLIB's str2str, BKG's ntripserver and ntripstreams send.
enum NTRIPRequest: Equatable {
    /// `SOURCE pw MP`, `SOURCE pw /MP` or `SOURCE pw /MP HTTP/1.1`; the password may be empty. Nil: no mountpoint named.
    case source(mountpoint: String?, password: String, description: String)
    case post(mountpoint: String, credentials: Credentials?, isChunked: Bool, description: String)
    case get(path: String, isVersion2: Bool)

    struct Credentials: Equatable {
        var user: String
        var password: String
    }

    enum Problem: Error, Equatable {
        /// Not text of this protocol at all.
        case malformed
        case method(String)
        /// A transfer coding other than chunked.
        case coding(String)
    }

    static let linesMax = 64

    /// Where the head ends, its blank line included; nil while it has not arrived. Lines may end in LF alone.
    static func headLength(_ bytes: ByteBufferView) -> Int? {
        var isLineEmpty = false
        for (offset, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\n") {
                if isLineEmpty { return offset + 1 }
                isLineEmpty = true
            } else if byte != UInt8(ascii: "\r") {
                isLineEmpty = false
            }
        }
        return nil
    }

    init(head: ByteBufferView) throws(Problem) {
        // Passwords are bytes to us; Latin-1 would not survive UTF-8 decoding, and nobody compares more than equality.
        let lines = head.split(separator: UInt8(ascii: "\n"), maxSplits: Self.linesMax).map { line in
            String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
        }
        guard let first = lines.first(where: { !$0.isEmpty }), lines.count <= Self.linesMax else { throw .malformed }
        let fields = HeaderFields(lines.drop { $0 != first }.dropFirst())
        if first.hasPrefix("SOURCE ") || first == "SOURCE" {
            self = Self.source(first, fields)
            return
        }
        let parts = first.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard parts.count == 3, parts[2].hasPrefix("HTTP/"), parts[1].hasPrefix("/") else { throw .malformed }
        let path = String(parts[1].dropFirst())
        switch parts[0] {
        case "GET":
            self = .get(path: path, isVersion2: fields["ntrip-version"]?.lowercased() == "ntrip/2.0")
        case "POST":
            self = try Self.post(path, fields)
        default:
            throw .method(String(parts[0].prefix(16)))
        }
    }

    /// The mountpoint is the last word, the password whatever stands before it.
    private static func source(_ line: String, _ fields: HeaderFields) -> NTRIPRequest {
        var words = line.dropFirst("SOURCE".count).split(separator: " ", omittingEmptySubsequences: false).dropFirst()
        while words.last?.isEmpty == true { words.removeLast() }
        if let last = words.last, last.hasPrefix("HTTP/") { words.removeLast() }
        while words.last?.isEmpty == true { words.removeLast() }
        let description = fields["str"] ?? fields["ntrip-str"] ?? ""
        guard let last = words.last, words.count > 1 || last.hasPrefix("/") else {
            return .source(mountpoint: nil, password: words.joined(separator: " "), description: description)
        }
        let name = last.hasPrefix("/") ? last.dropFirst() : last
        let password = words.dropLast().joined(separator: " ")
        return .source(mountpoint: name.isEmpty ? nil : String(name), password: password, description: description)
    }

    private static func post(_ path: String, _ fields: HeaderFields) throws(Problem) -> NTRIPRequest {
        let coding = fields["transfer-encoding"]?.lowercased() ?? "identity"
        guard coding == "chunked" || coding == "identity" else { throw .coding(String(coding.prefix(32))) }
        return .post(
            mountpoint: path, credentials: fields["authorization"].flatMap(credentials),
            isChunked: coding == "chunked", description: fields["ntrip-str"] ?? fields["str"] ?? "")
    }

    /// `Basic` and base64 of `user:password`; nil for anything else.
    private static func credentials(_ text: String) -> Credentials? {
        let words = text.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "basic", let bytes = Base64.decode(words[1].utf8) else {
            return nil
        }
        let parts = bytes.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        return Credentials(
            user: String(decoding: parts[0], as: UTF8.self), password: String(decoding: parts[1], as: UTF8.self))
    }

    /// Whether `name` can be a mountpoint: it becomes a record key and a word of the sourcetable.
    static func isMountpoint(_ name: String) -> Bool {
        1...100 ~= name.utf8.count
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ";") }
    }
}

/// Header lines by lower-case name; the first of a name counts.
struct HeaderFields {
    private var values: [String: String] = [:]

    init(_ lines: some Sequence<String>) {
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            if values[name] == nil { values[name] = String(value) }
        }
    }

    subscript(name: String) -> String? { values[name] }
}
