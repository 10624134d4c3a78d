import CCrypto
import NIOCore

/// The data key of an object and the nonce of its envelope, from the site key, the object's name and every one of its bytes.
///
/// Sealing the same bytes under the same name gives the same sealed bytes, so that an upload in parts goes on after a restart with the parts
/// that are there. Other bytes under the same name have another key: so a nonce never serves two messages, whatever is repeated.
///
/// How: a keyed hash of all bytes (GMAC under a key for this alone; its tag is never shown), then HMAC-SHA-256 of that tag, the sizes and the
/// name. A hash then a pseudorandom function is one itself (Carter and Wegman), and AES-GCM-SIV (RFC 8452) makes its nonces in the same way;
/// two bodies of 32 MiB meet in the tag with a chance of 2^-107.
struct ObjectSecret {
    let dataKey: SecretKey
    let nonce: [UInt8]

    init(_ pieces: [ByteBuffer], layout: SealedLayout, name: String, key: SecretKey) {
        let tag = Self.hash(pieces, under: key.derived("cairn object hash 1"))
        let derivation = key.derived("cairn data key 1")
        var facts = tag
        withUnsafeBytes(of: UInt64(layout.plainBytes).bigEndian) { facts.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(layout.chunkBytes).bigEndian) { facts.append(contentsOf: $0) }
        facts += Array(name.utf8)
        dataKey = derivation.derived([1] + facts)
        nonce = Array(derivation.derived([2] + facts).bytes.prefix(GCMCipher.nonceBytes))
    }

    /// One message for each object, of which only this tag exists and never leaves the process: the nonce need not differ.
    private static func hash(_ pieces: [ByteBuffer], under key: SecretKey) -> [UInt8] {
        let cipher = GCMCipher(key, .seal)
        cipher.begin(nonce: GCMNonce([UInt8](repeating: 0, count: GCMCipher.nonceBytes)))
        for piece in pieces { piece.withUnsafeReadableBytes { cipher.bind($0) } }
        return [UInt8](unsafeUninitializedCapacity: GCMCipher.tagBytes) { tag, count in
            guard let base = tag.baseAddress else { return }
            cipher.finishSealing(tag: base)
            count = GCMCipher.tagBytes
        }
    }
}

extension SecretKey {
    /// Another key for another use: HMAC-SHA-256 of `use`.
    func derived(_ use: String) -> SecretKey { derived(Array(use.utf8)) }

    func derived(_ use: [UInt8]) -> SecretKey {
        SecretKey { out in
            let done = withBytes { key in
                cairn_hmac_sha256(
                    key.baseAddress, key.count, use, use.count, out.baseAddress?.assumingMemoryBound(to: UInt8.self))
            }
            precondition(done == 1, "libcrypto digest returned \(done)")
        }
    }
}
