import CCrypto

/// HMAC-SHA-256 and SHA-256 of libcrypto (RFC 2104, FIPS 180-4), and bytes as text.
public enum MessageCode {
    public static let sizeBytes = 32

    public static func hmac(key: [UInt8], _ text: String) -> [UInt8] {
        var text = text
        return text.withUTF8 { message in
            digest { cairn_hmac_sha256(key, key.count, message.baseAddress ?? UnsafePointer($0), message.count, $0) }
        }
    }

    public static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        digest { cairn_sha256(bytes.baseAddress ?? UnsafeRawPointer($0), bytes.count, $0) }
    }

    /// Takes the same time wherever the first difference is.
    public static func isEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        guard first.count == second.count else { return false }
        return zip(first, second).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    public static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Nil unless `text` is an even number of hexadecimal digits.
    public static func bytes(hexadecimal text: some StringProtocol) -> [UInt8]? {
        let digits = text.compactMap { $0.isASCII ? $0.hexDigitValue : nil }
        guard digits.count == text.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    public static func random(bytes count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: .min ... .max) } }

    /// libcrypto fails here only when it is broken or out of memory, and then nothing could be signed any more.
    private static func digest(_ body: (UnsafeMutablePointer<UInt8>) -> Int32) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: sizeBytes) { out, count in
            guard let base = out.baseAddress else { preconditionFailure("no room for \(sizeBytes) bytes") }
            let done = body(base)
            precondition(done == 1, "libcrypto digest returned \(done)")
            count = sizeBytes
        }
    }
}
