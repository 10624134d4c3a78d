/// Site keys by name. The first one wraps new data keys, all of them unwrap.
public struct KeyRing: Sendable {
    public struct Key: Sendable {
        public let id: String
        public let secret: SecretKey

        /// Nil when `id` may not name a key.
        public init?(id: String, secret: SecretKey) {
            guard KeyRing.isID(id) else { return nil }
            self.id = id
            self.secret = secret
        }

        /// A new one, named by its fingerprint unless `id` is given.
        public static func random(id: String? = nil) -> Key? {
            let secret = SecretKey.random()
            return Key(id: id ?? secret.fingerprint, secret: secret)
        }
    }

    /// A cloud node has one key, or more, of every site.
    public static let keysMax = 100_000
    public static let idBytesMax = 40

    /// In the order of the file; never empty, and no two of the same name.
    public let keys: [Key]
    private let byID: [String: SecretKey]

    /// Nil when there is no key, too many, or two of the same name.
    public init?(_ keys: [Key]) {
        guard !keys.isEmpty, keys.count <= Self.keysMax else { return nil }
        self.keys = keys
        byID = Dictionary(keys.map { ($0.id, $0.secret) }) { first, _ in first }
        guard byID.count == keys.count else { return nil }
    }

    /// 1 to 40 of `A-Z a-z 0-9 . _ -`.
    public static func isID(_ text: some StringProtocol) -> Bool {
        (1...idBytesMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// The key that wraps.
    public var first: Key { keys[0] }

    public func secret(_ id: String) -> SecretKey? { byID[id] }
}

// MARK: Envelopes

/// A data key under a site key: nonce, wrapped key, tag.
///
/// The nonce is as good as random, and another one for every data key (``ObjectSecret``): a site key may wrap 2^32 data keys before that
/// becomes a risk (SP 800-38D, 8.3), which at a thousand objects a second takes 49 days, at one a second 136 years. `cairn key rotate`
/// starts anew.
public struct Envelope: Sendable, Equatable {
    public static let sizeBytes = GCMCipher.nonceBytes + SecretKey.sizeBytes + GCMCipher.tagBytes
    public let bytes: [UInt8]

    /// Nil unless there are ``sizeBytes``.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.bytes = Array(bytes)
    }

    private init(made: [UInt8]) { bytes = made }

    /// Wraps `dataKey`. It opens again only with the same `bound`.
    static func seal(_ dataKey: SecretKey, under key: SecretKey, nonce: [UInt8], bound: [UInt8]) -> Envelope {
        var bytes = nonce + [UInt8](repeating: 0, count: sizeBytes - nonce.count)
        bytes.withUnsafeMutableBytes { out in
            let cipher = GCMCipher(key, .seal)
            cipher.begin(nonce: GCMNonce(out[..<GCMCipher.nonceBytes]), bound: bound)
            guard let wrapped = out.baseAddress?.advanced(by: GCMCipher.nonceBytes) else { return }
            dataKey.withBytes { cipher.update($0, into: wrapped) }
            cipher.finishSealing(tag: wrapped + SecretKey.sizeBytes)
        }
        return Envelope(made: bytes)
    }

    /// The data key, or nil when the envelope, the key or `bound` is not the one of its making.
    func open(under key: SecretKey, bound: [UInt8]) -> SecretKey? {
        bytes.withUnsafeBytes { all in
            let wrapped = UnsafeRawBufferPointer(rebasing: all[GCMCipher.nonceBytes...])
            guard let tag = wrapped.baseAddress?.advanced(by: SecretKey.sizeBytes) else { return nil }
            let cipher = GCMCipher(key, .open)
            cipher.begin(nonce: GCMNonce(all[..<GCMCipher.nonceBytes]), bound: bound)
            var verifies = false
            let secret = SecretKey { out in
                guard let base = out.baseAddress else { return }
                cipher.update(UnsafeRawBufferPointer(rebasing: wrapped[..<SecretKey.sizeBytes]), into: base)
                verifies = cipher.finishOpening(tag: tag)
            }
            return verifies ? secret : nil
        }
    }
}
