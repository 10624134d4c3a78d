import CChecksum
import CCrypto
import NIOCore

/// Digests of libcrypto and of the CPU, over bytes that lie together in memory: no copies.
enum Digest {
    static func sha256(_ buffer: ByteBuffer) -> [UInt8] {
        buffer.withUnsafeReadableBytes(sha256)
    }

    static func sha256(_ text: String) -> [UInt8] {
        var text = text
        return text.withUTF8 { sha256(UnsafeRawBufferPointer($0)) }
    }

    static func hmacSHA256(key: [UInt8], _ text: String) -> [UInt8] {
        var text = text
        return text.withUTF8 { message in
            digest(sizeBytes: 32) {
                cairn_hmac_sha256(key, key.count, message.baseAddress ?? UnsafePointer($0), message.count, $0)
            }
        }
    }

    static func md5(_ buffer: ByteBuffer) -> [UInt8] {
        buffer.withUnsafeReadableBytes { bytes in
            digest(sizeBytes: 16) { cairn_md5(bytes.baseAddress ?? UnsafeRawPointer($0), bytes.count, $0) }
        }
    }

    static func crc32c(_ buffer: ByteBuffer) -> UInt32 {
        buffer.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.map { cairn_crc32c(0, $0, bytes.count) } ?? 0
        }
    }

    private static func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        digest(sizeBytes: 32) { cairn_sha256(bytes.baseAddress ?? UnsafeRawPointer($0), bytes.count, $0) }
    }

    /// libcrypto fails here only when it is broken or out of memory, and then nothing could be signed any more.
    private static func digest(sizeBytes: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int32) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: sizeBytes) { out, count in
            guard let base = out.baseAddress else { preconditionFailure("no room for \(sizeBytes) bytes") }
            let done = body(base)
            precondition(done == 1, "libcrypto digest returned \(done)")
            count = sizeBytes
        }
    }
}
