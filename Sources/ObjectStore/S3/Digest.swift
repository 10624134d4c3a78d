import CChecksum
import CCrypto
import NIOCore

/// Digests of libcrypto and of the CPU, over bytes as they lie in memory: no copies.
enum Digest {
    static func sha256(_ body: ObjectBody) -> [UInt8] {
        digest(sizeBytes: 32) { out in
            guard let state = cairn_sha256_new() else { return 0 }
            let isWhole = body.pieces.allSatisfy { piece in
                piece.withUnsafeReadableBytes { bytes in
                    bytes.baseAddress.map { cairn_sha256_update(state, $0, bytes.count) } ?? 1
                } == 1
            }
            guard isWhole else {
                cairn_sha256_free(state)
                return 0
            }
            return cairn_sha256_finish(state, out)
        }
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

    static func crc32c(_ body: ObjectBody) -> UInt32 {
        body.pieces.reduce(0) { crc, piece in
            piece.withUnsafeReadableBytes { bytes in
                bytes.baseAddress.map { cairn_crc32c(crc, $0, bytes.count) } ?? crc
            }
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
