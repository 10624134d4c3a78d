import CCrypto

/// SHA-256 of bytes that come in pieces (libcrypto; FIPS 180-4).
public struct RunningDigest: ~Copyable {
    private let context: OpaquePointer

    public init() {
        // As in MessageCode: it fails only when libcrypto is broken or out of memory.
        guard let context = cairn_sha256_new() else { preconditionFailure("libcrypto has no SHA-256") }
        self.context = context
    }

    deinit { cairn_sha256_free(context) }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        let done = cairn_sha256_update(context, base, bytes.count)
        precondition(done == 1, "libcrypto digest returned \(done)")
    }

    /// The 32 bytes of the digest; ends it.
    public consuming func finish() -> [UInt8] {
        let context = context
        discard self
        return [UInt8](unsafeUninitializedCapacity: MessageCode.sizeBytes) { out, count in
            let done = cairn_sha256_finish(context, out.baseAddress)
            precondition(done == 1, "libcrypto digest returned \(done)")
            count = MessageCode.sizeBytes
        }
    }
}
