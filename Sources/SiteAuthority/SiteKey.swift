/// The secret by which a gateway proves its site: 32 bytes and their generation. Never printed.
///
/// As text, in a gateway's settings: `<generation>:<64 hexadecimal digits>`.
public struct SiteKey: Sendable, Equatable {
    public let generation: UInt32
    let bytes: [UInt8]

    init(generation: UInt32, bytes: [UInt8]) {
        self.generation = generation
        self.bytes = bytes
    }

    /// Nil for anything that ``text`` does not make.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let generation = UInt32(parts[0]), generation >= 1,
            let bytes = MessageCode.bytes(hexadecimal: parts[1]), bytes.count == MessageCode.sizeBytes
        else { return nil }
        self.init(generation: generation, bytes: bytes)
    }

    /// For the provisioning bundle only.
    public var text: String { "\(generation):\(MessageCode.hexadecimal(bytes))" }

    /// Tells keys apart without telling them: 16 hexadecimal digits.
    public var fingerprint: String {
        MessageCode.hexadecimal(MessageCode.hmac(key: bytes, "cairn key fingerprint v1").prefix(8))
    }
}

extension SiteKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "SiteKey(generation \(generation), redacted)" }
    public var customMirror: Mirror { Mirror(self, children: ["generation": generation]) }
}

/// The one secret of a deployment, on its cloud nodes only, from which every site's key is derived.
///
/// So the ledger keeps no secrets: whoever reads its log, a snapshot or a backup of either can sign nothing. Losing the
/// master key means giving every site a new key (`cairn site rotate`).
public struct MasterKey: Sendable {
    private let bytes: [UInt8]

    /// 64 hexadecimal digits, as its file holds them.
    public init?(_ text: String) {
        guard let bytes = MessageCode.bytes(hexadecimal: text), bytes.count == MessageCode.sizeBytes else { return nil }
        self.bytes = bytes
    }

    /// The text of a new one.
    public static func makeText() -> String {
        MessageCode.hexadecimal(MessageCode.random(bytes: MessageCode.sizeBytes))
    }

    /// The same arguments give the same key, on every node.
    public func siteKey(site: String, generation: UInt32, salt: String) -> SiteKey {
        // Neither a site's name nor a salt can hold a line end.
        let text = "cairn site key v1\n\(site)\n\(generation)\n\(salt)"
        return SiteKey(generation: generation, bytes: MessageCode.hmac(key: bytes, text))
    }
}

extension MasterKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "MasterKey(redacted)" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
