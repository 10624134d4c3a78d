import CChecksum

/// First block of a segment file. Layout in this module's README, section 1.
struct SegmentHeader: Equatable {
    static let magic: UInt64 = 0x4C41_574E_5249_4143  // "CAIRNWAL"
    static let version: UInt32 = 1
    static let sizeBytes = 64

    var sequence: UInt64
    /// Random per use of the file; every checksum in the segment starts from it.
    var salt: UInt64
    var segmentSizeBytes: Int
    /// LSN of the checkpoint frame; frames of earlier segments from here on are dead.
    var firstLSN: UInt64

    func encode(into bytes: UnsafeMutableRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: bytes[..<Block.sizeBytes]).initializeMemory(
            as: UInt8.self, repeating: 0)
        bytes.set(Self.magic, at: 0)
        bytes.set(Self.version, at: 8)
        bytes.set(sequence, at: 16)
        bytes.set(salt, at: 24)
        bytes.set(UInt64(segmentSizeBytes), at: 32)
        bytes.set(firstLSN, at: 40)
        bytes.set(Self.checksum(UnsafeRawBufferPointer(bytes)), at: 12)
    }

    /// Nil when the bytes are no header of this version.
    init?(reading bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.sizeBytes, bytes.field(UInt64.self, at: 0) == Self.magic,
            bytes.field(UInt32.self, at: 8) == Self.version,
            bytes.field(UInt32.self, at: 12) == Self.checksum(bytes),
            let size = Int(exactly: bytes.field(UInt64.self, at: 32))
        else { return nil }
        sequence = bytes.field(at: 16)
        salt = bytes.field(at: 24)
        segmentSizeBytes = size
        firstLSN = bytes.field(at: 40)
    }

    init(sequence: UInt64, salt: UInt64, segmentSizeBytes: Int, firstLSN: UInt64) {
        self.sequence = sequence
        self.salt = salt
        self.segmentSizeBytes = segmentSizeBytes
        self.firstLSN = firstLSN
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        cairn_crc32c(0, bytes.baseAddress! + 16, sizeBytes - 16)
    }
}

/// Names of files in a lane's directory.
enum SegmentName {
    static func live(_ sequence: UInt64) -> String { padded(sequence) + ".seg" }
    static func spare(_ sequence: UInt64) -> String { padded(sequence) + ".free" }
    static func newSpare(_ number: UInt64) -> String { "new-" + padded(number) + ".free" }
    static func unfinished(_ number: UInt64) -> String { padded(number) + ".tmp" }
    static func unfinishedSpare(_ number: UInt64) -> String { "new-" + padded(number) + ".tmp" }

    static func isSpare(_ name: String) -> Bool { name.hasSuffix(".free") }
    static func isUnfinished(_ name: String) -> Bool { name.hasSuffix(".tmp") }

    /// The sequence in `<20 digits>.seg`, nil for any other name.
    static func sequence(_ name: String) -> UInt64? {
        guard name.utf8.count == 24, name.hasSuffix(".seg") else { return nil }
        let digits = name.utf8.prefix(20)
        guard digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(String(name.prefix(20)))
    }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }
}
