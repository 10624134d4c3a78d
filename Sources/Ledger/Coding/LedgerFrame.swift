import CChecksum
import NIOCore

/// The frame around what the ledger stores: magic, format version, CRC-32C, then the body.
///
/// `[magic: 4 bytes][version: UInt16][zero: UInt16][CRC-32C of the body: UInt32][body]`, big-endian.
struct LedgerFrame {
    let what: String
    let magic: UInt32

    /// The newest format that this binary reads, and the one it writes.
    static let version: UInt16 = 4
    static let headerBytes = 12

    static let blob = LedgerFrame(what: "ledger log blob", magic: 0x434C_4247)  // "CLBG"
    static let snapshot = LedgerFrame(what: "ledger snapshot", magic: 0x434C_534E)  // "CLSN"
    static let command = LedgerFrame(what: "ledger command", magic: 0x434C_434D)  // "CLCM"

    func wrap(_ body: [UInt8], version: UInt16 = LedgerFrame.version) -> ByteBuffer {
        var frame = ByteBufferAllocator().buffer(capacity: LedgerFrame.headerBytes + body.count)
        frame.writeInteger(magic)
        frame.writeInteger(version)
        frame.writeInteger(0 as UInt16)
        frame.writeInteger(body.withUnsafeBytes { cairn_crc32c(0, $0.baseAddress, $0.count) })
        frame.writeBytes(body)
        return frame
    }

    /// The body of a frame, checked, as its fields are to be read.
    func open(_ frame: ByteBuffer) throws(LedgerFormatError) -> LedgerReader {
        let body = try unwrap(frame)
        return LedgerReader(body, version: frame.getInteger(at: frame.readerIndex + 4) ?? LedgerFrame.version)
    }

    /// The body of a frame, checked. The version is looked at first: a newer one may have changed all the rest.
    func unwrap(_ frame: ByteBuffer) throws(LedgerFormatError) -> ByteBuffer {
        let start = frame.readerIndex
        guard frame.readableBytes >= LedgerFrame.headerBytes,
            let foundMagic = frame.getInteger(at: start, as: UInt32.self),
            let version = frame.getInteger(at: start + 4, as: UInt16.self),
            let reserved = frame.getInteger(at: start + 6, as: UInt16.self),
            let stored = frame.getInteger(at: start + 8, as: UInt32.self),
            let body = frame.getSlice(
                at: start + LedgerFrame.headerBytes, length: frame.readableBytes - LedgerFrame.headerBytes)
        else { throw .truncated(neededBytes: LedgerFrame.headerBytes, presentBytes: frame.readableBytes) }
        guard foundMagic == magic else { throw .badMagic(what: what) }
        guard version <= LedgerFrame.version else {
            throw .newerVersion(what: what, found: Int(version), supported: Int(LedgerFrame.version))
        }
        guard version > 0, reserved == 0 else { throw .invalidValue(what: "\(what) header") }
        let computed = body.withUnsafeReadableBytes { cairn_crc32c(0, $0.baseAddress, $0.count) }
        guard stored == computed else { throw .checksum(what: what, stored: stored, computed: computed) }
        return body
    }
}
