import CChecksum
import NIOCore

/// Numbers of the on-disk format. The README of this module has the bytes.
public enum ObjectFormat {
    /// The newest version this code reads.
    public static let version: UInt16 = 2
    /// What is written where the object has nothing that needs a newer one: gaps need version 2.
    static let versionWithoutGaps: UInt16 = 1
    /// Size of the trailer, the last bytes of every object.
    public static let trailerBytes = 24
    /// The largest footer that is read; a larger one is refused before anything is allocated for it.
    public static let footerBytesMax = 32 << 20
    /// A tail of this many bytes holds the footer of nearly every object.
    public static let footerTailBytes = 64 << 10
    /// Kafka's own limit for a topic's name.
    public static let topicBytesMax = 249
    /// Default limit of ``ObjectWriter``.
    public static let objectBytesMax = 64 << 20

    /// Whether `text` is a topic that Kafka allows: 1 to 249 of `A-Z a-z 0-9 . _ -`, not `.` or `..`.
    public static func isTopic(_ text: String) -> Bool {
        text.utf8.count <= topicBytesMax && ObjectKeys.isNameCharacters(text)
    }

    static let headerMagic: UInt64 = 0x4341_4952_4E4F_424A  // "CAIRNOBJ"
    static let footerMagic: UInt64 = 0x4341_4952_4E49_4458  // "CAIRNIDX"
    static let trailerMagic: UInt64 = 0x4341_4952_4E45_4E44  // "CAIRNEND"
    /// Header without texts: 56 bytes of fixed fields, four text lengths, checksum.
    static let headerBytesMin = 64
    static let headerTextBytesMax = 255
    static let headerBytesMax = headerBytesMin + 4 * headerTextBytesMax
    /// Magic, header, object size, run count.
    static let footerBytesMin = 8 + headerBytesMin + 12
    static let runBytesMin = 2 + 1 + 4 + 7 * 8 + 4 + 4
    static let stampBytes = 27
    static let objectBytesMin = headerBytesMin + footerBytesMin + trailerBytes
    static let batchBytesMin = 61
}

extension ByteBuffer {
    /// Appends `bytes` and continues the CRC-32C with them, in one pass over memory.
    mutating func append(_ bytes: ByteBuffer, continuing crc: UInt32) -> UInt32 {
        var crc = crc
        writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.readableBytes) { space in
            bytes.withUnsafeReadableBytes { source in
                if let to = space.baseAddress, let from = source.baseAddress {
                    crc = cairn_crc32c_copy(crc, to, from, source.count)
                }
                return source.count
            }
        }
        return crc
    }

    /// CRC-32C of `length` readable bytes from `index`, both inside the buffer.
    func crc32c(at index: Int, length: Int, continuing crc: UInt32 = 0) -> UInt32 {
        withUnsafeReadableBytes { bytes in
            let slice = UnsafeRawBufferPointer(rebasing: bytes[(index - readerIndex)..<(index - readerIndex + length)])
            return cairn_crc32c(crc, slice.baseAddress, slice.count)
        }
    }
}
