import CChecksum
import Sealing

/// First block of a segment file. Layout in this module's README, section 1.
struct SegmentHeader: Equatable {
    static let magic: UInt64 = 0x4C41_574E_5249_4143  // "CAIRNWAL"
    static let version: UInt32 = 1
    static let sizeBytes = 64
    /// As much as may be of use: with the record of the data key behind the fields.
    static let readBytes = sizeBytes + LogKeyRecord.sizeBytes

    var sequence: UInt64
    /// Random per use of the file; every checksum in the segment starts from it.
    var salt: UInt64
    var segmentSizeBytes: Int
    /// LSN of the checkpoint frame; frames of earlier segments from here on are dead.
    var firstLSN: UInt64
    /// The start of the log that began this segment; 0 in segments of programs that did not count them.
    var bootEpoch: UInt64 = 0
    /// What a reader must know to make sense of the segment. A bit not in `understood` makes it a newer format.
    var mustUnderstand: UInt32 = 0
    /// What a reader may know; others pass over it.
    var mayIgnore: UInt32 = 0

    /// In `mustUnderstand`: the groups are sealed, and the record of their key stands behind these fields.
    static let sealed: UInt32 = 1
    /// Bits of `mustUnderstand` that this program knows.
    static let understood = sealed
    /// Nil in a segment that is not sealed, and where it is damaged.
    var key: LogKeyRecord?

    var isSealed: Bool { mustUnderstand & Self.sealed != 0 }

    func encode(into bytes: UnsafeMutableRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: bytes[..<Block.sizeBytes]).initializeMemory(
            as: UInt8.self, repeating: 0)
        bytes.set(Self.magic, at: 0)
        bytes.set(Self.version, at: 8)
        bytes.set(sequence, at: 16)
        bytes.set(salt, at: 24)
        bytes.set(UInt64(segmentSizeBytes), at: 32)
        bytes.set(firstLSN, at: 40)
        bytes.set(bootEpoch, at: 48)
        bytes.set(mustUnderstand, at: 56)
        bytes.set(mayIgnore, at: 60)
        bytes.set(Self.checksum(UnsafeRawBufferPointer(bytes)), at: 12)
        if let key {
            UnsafeMutableRawBufferPointer(rebasing: bytes[Self.sizeBytes..<Self.readBytes]).copyBytes(from: key.bytes)
        }
    }

    /// Nil when the bytes are no header of this version, or one with flags that must be understood and are not.
    init?(reading bytes: UnsafeRawBufferPointer) {
        guard Self.format(of: bytes) == .ours, let size = Int(exactly: bytes.field(UInt64.self, at: 32))
        else { return nil }
        sequence = bytes.field(at: 16)
        salt = bytes.field(at: 24)
        segmentSizeBytes = size
        firstLSN = bytes.field(at: 40)
        bootEpoch = bytes.field(at: 48)
        mustUnderstand = bytes.field(at: 56)
        mayIgnore = bytes.field(at: 60)
        if isSealed {
            key = LogKeyRecord(
                reading: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(Self.sizeBytes)), salt: salt)
        }
    }

    init(
        sequence: UInt64, salt: UInt64, segmentSizeBytes: Int, firstLSN: UInt64, bootEpoch: UInt64 = 0,
        key: LogKeyRecord? = nil
    ) {
        self.key = key
        mustUnderstand = key == nil ? 0 : Self.sealed
        self.sequence = sequence
        self.salt = salt
        self.segmentSizeBytes = segmentSizeBytes
        self.firstLSN = firstLSN
        self.bootEpoch = bootEpoch
    }

    /// What the first 64 bytes of a segment say of its format. In every version the magic is at 0, the version at 8, the
    /// checksum of bytes 16 to 63 at 12, begun with 0 in version 1 and with the version in all others: so that a flipped
    /// bit in the version is damage, and only a real newer format is taken for one.
    static func format(of bytes: UnsafeRawBufferPointer) -> SegmentFormat {
        guard bytes.count >= sizeBytes, bytes.field(UInt64.self, at: 0) == magic else { return .unknown }
        let found = bytes.field(UInt32.self, at: 8)
        guard bytes.field(UInt32.self, at: 12) == checksum(bytes, version: found) else { return .unknown }
        if found > version { return .newer(NewerFormat(version: found)) }
        guard found == version else { return .unknown }
        let unknown = bytes.field(UInt32.self, at: 56) & ~understood
        return unknown == 0 ? .ours : .newer(NewerFormat(version: found, flags: unknown))
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer, version: UInt32 = Self.version) -> UInt32 {
        cairn_crc32c(version == 1 ? 0 : version, bytes.baseAddress! + 16, sizeBytes - 16)
    }
}

/// Names of files in a lane's directory.
enum SegmentName {
    static func live(_ sequence: UInt64) -> String { padded(sequence) + ".seg" }
    static func spare(_ sequence: UInt64) -> String { padded(sequence) + ".free" }
    static func newSpare(_ number: UInt64) -> String { "new-" + padded(number) + ".free" }
    static func unfinished(_ number: UInt64) -> String { padded(number) + ".tmp" }
    static func unfinishedSpare(_ number: UInt64) -> String { "new-" + padded(number) + ".tmp" }

    static func head(_ sequence: UInt64) -> String { padded(sequence) + ".head" }

    static func isSpare(_ name: String) -> Bool { name.hasSuffix(".free") }
    static func isUnfinished(_ name: String) -> Bool { name.hasSuffix(".tmp") }

    /// The sequence in `<20 digits>.seg`, nil for any other name. No log gets as far as half of the numbers there are, so a
    /// name with a higher one is not ours, and adding to a sequence never overflows.
    static func sequence(_ name: String) -> UInt64? { sequence(name, ".seg") }

    /// The sequence in `<20 digits>.head`.
    static func headSequence(_ name: String) -> UInt64? { sequence(name, ".head") }

    private static func sequence(_ name: String, _ suffix: String) -> UInt64? {
        guard name.utf8.count == 20 + suffix.utf8.count, name.hasSuffix(suffix) else { return nil }
        let digits = name.utf8.prefix(20)
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(String(name.prefix(20))).flatMap { $0 <= UInt64.max / 2 ? $0 : nil }
    }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }
}
