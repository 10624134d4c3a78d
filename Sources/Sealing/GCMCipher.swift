import CCrypto

/// AES-256-GCM with one key in one direction. Source: NIST SP 800-38D.
///
/// A nonce (12 bytes) must never be used for two messages of one key: whoever calls says why it is not.
struct GCMCipher: ~Copyable {
    enum Direction { case seal, open }

    static let nonceBytes = 12
    static let tagBytes = 16
    private let context: OpaquePointer

    init(_ key: SecretKey, _ direction: Direction) {
        let made = key.withBytes { cairn_gcm_new($0.baseAddress, direction == .seal ? 1 : 0) }
        guard let made else { preconditionFailure("libcrypto has no AES-256-GCM") }
        context = made
    }

    deinit { cairn_gcm_free(context) }

    /// Begins a message. `bound` is checked with it and not stored.
    func begin(nonce: GCMNonce, bound: [UInt8] = []) {
        let done = nonce.withBytes { cairn_gcm_begin(context, $0.baseAddress, bound, bound.count) }
        precondition(done == 1, "libcrypto refused to begin a message")
    }

    /// More bytes that are checked with the message and not stored; before the first ``update(_:into:)``.
    func bind(_ bytes: UnsafeRawBufferPointer) {
        let done = cairn_gcm_bind(context, bytes.baseAddress, bytes.count)
        precondition(done == 1, "libcrypto refused to bind \(bytes.count) bytes")
    }

    /// The next bytes of the message, as many out as in.
    func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer) {
        let done = cairn_gcm_update(context, input.baseAddress, input.count, output)
        precondition(done == 1, "libcrypto refused \(input.count) bytes")
    }

    /// Writes the tag of the message.
    func finishSealing(tag: UnsafeMutableRawPointer) {
        let done = cairn_gcm_finish(context, tag)
        precondition(done == 1, "libcrypto gave no tag")
    }

    /// Whether the message is what was sealed under this tag. If not, nothing of it may be used.
    func finishOpening(tag: UnsafeRawPointer) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: Self.tagBytes, alignment: 1) { copy in
            copy.copyMemory(from: UnsafeRawBufferPointer(start: tag, count: Self.tagBytes))
            return cairn_gcm_finish(context, copy.baseAddress) == 1
        }
    }
}

/// 12 bytes: a kind, three zeros, a number.
struct GCMNonce {
    private var words: (UInt32, UInt32, UInt32)

    /// The nonce of one chunk: no two chunks of a data key have the same, and the last one cannot stand for another.
    /// Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (STREAM).
    init(chunk: Int, isLast: Bool) {
        let number = UInt64(chunk)
        words = (
            UInt32(isLast ? 0x0100_0000 : 0).bigEndian, UInt32(truncatingIfNeeded: number >> 32).bigEndian,
            UInt32(truncatingIfNeeded: number).bigEndian
        )
    }

    /// Any 12 bytes.
    init(_ bytes: some Collection<UInt8>) {
        precondition(bytes.count == GCMCipher.nonceBytes, "nonce of \(bytes.count) bytes")
        words = (0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(of: words, body)
    }
}
