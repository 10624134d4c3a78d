import CCrypto

/// 256 bits that are never printed, never copied, and zero once nobody holds them.
public final class SecretKey: @unchecked Sendable {  // The bytes are written in `init` only.
    public static let sizeBytes = 32
    private let storage: UnsafeMutableRawBufferPointer

    /// `fill` writes all 32 bytes.
    init(_ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        storage = .allocate(byteCount: Self.sizeBytes, alignment: 16)
        fill(storage)
    }

    deinit {
        cairn_cleanse(storage.baseAddress, storage.count)
        storage.deallocate()
    }

    /// Nil unless there are 32 of them.
    public convenience init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.sizeBytes else { return nil }
        self.init { $0.copyBytes(from: bytes) }
    }

    /// A new one from libcrypto's generator for secrets.
    public static func random() -> SecretKey {
        SecretKey { Randomness.fill($0) }
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        body(UnsafeRawBufferPointer(storage))
    }

    /// For the key file.
    var bytes: [UInt8] { withBytes { Array($0) } }

    /// 16 hexadecimal digits by which people tell keys apart; says nothing about the key.
    public var fingerprint: String {
        var digest = [UInt8](repeating: 0, count: 32)
        let done = withBytes { cairn_sha256($0.baseAddress, $0.count, &digest) }
        precondition(done == 1, "libcrypto digest returned \(done)")
        return digest.prefix(8).map { byte in
            let text = String(byte, radix: 16)
            return byte < 16 ? "0" + text : text
        }.joined()
    }

    /// Whether both are the same key.
    public func isSame(as other: SecretKey) -> Bool {
        withBytes { mine in other.withBytes { theirs in mine.elementsEqual(theirs) } }
    }
}

enum Randomness {
    /// Without randomness no key may be made: there is no way to go on.
    static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        let done = cairn_random(bytes.baseAddress, bytes.count)
        precondition(done == 1, "libcrypto has no randomness: \(done)")
    }
}
