public import NIOCore

/// What of an announce request is signed, and how its reply is.
///
/// A request names the challenge that the cloud node gave out, and a counter that rises with every request of one gateway
/// process; see ``SiteGuard``. No clock is involved. A reply's code covers the request's code, so that a reply fits one
/// request only.
public struct AnnounceSignature: Sendable, Equatable {
    public var method: String
    public var path: String
    public var site: String
    public var incarnation: String
    /// Of the key.
    public var generation: UInt32
    /// What the node gave out, 32 hexadecimal digits; empty in the first request to it.
    public var challenge: String
    /// The start of the gateway that counts: its random name.
    public var nonce: String
    public var counter: UInt64

    public init(
        method: String, path: String, site: String, incarnation: String, generation: UInt32, challenge: String,
        nonce: String, counter: UInt64
    ) {
        self.method = method
        self.path = path
        self.site = site
        self.incarnation = incarnation
        self.generation = generation
        self.challenge = challenge
        self.nonce = nonce
        self.counter = counter
    }

    /// The headers that carry it. Values hold no line ends, because names and digits are checked.
    public enum Header {
        public static let site = "cairn-site"
        public static let incarnation = "cairn-incarnation"
        public static let generation = "cairn-key"
        public static let challenge = "cairn-challenge"
        public static let nonce = "cairn-nonce"
        public static let counter = "cairn-counter"
        public static let code = "cairn-signature"
        public static let all = [site, incarnation, generation, challenge, nonce, counter, code]
    }

    /// 64 hexadecimal digits.
    public func code(_ key: SiteKey, body: ByteBuffer) -> String {
        let text = [
            "cairn announce v1", method, path, site, incarnation, String(generation), challenge, nonce, String(counter),
            Self.hash(body),
        ].joined(separator: "\n")
        return MessageCode.hexadecimal(MessageCode.hmac(key: key.bytes, text))
    }

    public func isSigned(_ code: String, by key: SiteKey, body: ByteBuffer) -> Bool {
        MessageCode.isEqual(Array(code.utf8), Array(self.code(key, body: body).utf8))
    }

    /// The code of the reply to a request whose code is `requestCode`.
    public static func replyCode(_ key: SiteKey, requestCode: String, status: Int, body: ByteBuffer) -> String {
        let text = ["cairn reply v1", requestCode, String(status), hash(body)].joined(separator: "\n")
        return MessageCode.hexadecimal(MessageCode.hmac(key: key.bytes, text))
    }

    public static func isReply(
        _ code: String, by key: SiteKey, requestCode: String, status: Int, body: ByteBuffer
    ) -> Bool {
        let right = replyCode(key, requestCode: requestCode, status: status, body: body)
        return MessageCode.isEqual(Array(code.utf8), Array(right.utf8))
    }

    private static func hash(_ body: ByteBuffer) -> String {
        MessageCode.hexadecimal(body.withUnsafeReadableBytes { MessageCode.sha256($0) })
    }
}

extension AnnounceSignature {
    public var headers: [(name: String, value: String)] {
        [
            (Header.site, site), (Header.incarnation, incarnation), (Header.generation, String(generation)),
            (Header.challenge, challenge), (Header.nonce, nonce), (Header.counter, String(counter)),
        ]
    }

    /// Nil when a header is missing or is not what it should be. Lengths are bounded: nobody has been asked for a key yet.
    public init?(method: String, path: String, header: (String) -> String?) {
        guard let site = header(Header.site), (1...64).contains(site.utf8.count),
            let incarnation = header(Header.incarnation), Self.isDigits(incarnation, count: 32),
            let generation = header(Header.generation).flatMap({ UInt32($0) }),
            let challenge = header(Header.challenge), challenge.isEmpty || Self.isDigits(challenge, count: 32),
            let nonce = header(Header.nonce), Self.isDigits(nonce, count: 32),
            let counter = header(Header.counter).flatMap({ UInt64($0) })
        else { return nil }
        self.init(
            method: method, path: path, site: site, incarnation: incarnation, generation: generation,
            challenge: challenge, nonce: nonce, counter: counter)
    }

    private static func isDigits(_ text: String, count: Int) -> Bool {
        text.utf8.count == count && text.allSatisfy { $0.isASCII && $0.isHexDigit }
    }
}
