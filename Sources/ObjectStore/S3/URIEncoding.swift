/// Percent encoding as SigV4 and S3 want it: every byte but `A-Z a-z 0-9 - . _ ~` becomes `%XX`, upper case.
///
/// Source: "Create a canonical request", AWS Signature Version 4 (`UriEncode`).
enum URIEncoding {
    /// A key as a path: slashes stay.
    static func path(_ text: String) -> String { encode(text, keepingSlash: true) }

    /// A name or a value of a query.
    static func component(_ text: String) -> String { encode(text, keepingSlash: false) }

    /// `a=1&b=2`, sorted by encoded name, then by encoded value, as it is signed and as it is sent.
    static func query(_ items: [(name: String, value: String)]) -> String {
        items.map { (name: component($0.name), value: component($0.value)) }
            .sorted {
                $0.name != $1.name ? ObjectKey.isBefore($0.name, $1.name) : ObjectKey.isBefore($0.value, $1.value)
            }
            .map { $0.name + "=" + $0.value }
            .joined(separator: "&")
    }

    private static func encode(_ text: String, keepingSlash: Bool) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            if isUnreserved(byte) || (keepingSlash && byte == UInt8(ascii: "/")) {
                out.append(byte)
            } else {
                out.append(UInt8(ascii: "%"))
                out.append(Hex.upper[Int(byte >> 4)])
                out.append(Hex.upper[Int(byte & 15)])
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }
}

/// Bytes as text.
enum Hex {
    static let upper = Array("0123456789ABCDEF".utf8)
    private static let lower = Array("0123456789abcdef".utf8)

    static func lowercase(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            out.append(lower[Int(byte >> 4)])
            out.append(lower[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// RFC 4648 base64 with padding, for `Content-MD5` and checksum headers (16 bytes or fewer at a time, so simple over fast).
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                let six = Int(bits >> UInt32(18 - 6 * index)) & 63
                out.append(index <= group.count ? alphabet[six] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
