import CChecksum
import Sealing

/// Head of one group commit: a block-aligned run of frames written and synced together. README, section 2.
struct GroupHeader: Equatable {
    static let magic: UInt32 = 0x5052_4743  // "CGRP"
    static let version: UInt16 = 1
    /// A group whose frames are sealed: tag and key record stand behind the fields.
    static let sealedVersion: UInt16 = 2
    static let sizeBytes = 48
    static let tagAt = sizeBytes
    static let keyAt = tagAt + GroupSealer.tagBytes
    static let sealedSizeBytes = keyAt + LogKeyRecord.sizeBytes

    var frameCount: UInt32
    /// This header and its frames.
    var usedBytes: Int
    /// The same with the padding to a block boundary.
    var groupBytes: Int
    var firstLSN: UInt64
    var sequence: UInt64
    var salt: UInt64
    /// Low 16 bits of the boot epoch of whoever wrote it, 0 for none.
    var bootMark: UInt16 = 0
    var isSealed = false

    /// Bytes before its first frame.
    var headBytes: Int { Self.headBytes(isSealed: isSealed) }

    static func headBytes(isSealed: Bool) -> Int { isSealed ? sealedSizeBytes : sizeBytes }

    func encode(into bytes: UnsafeMutableRawBufferPointer) {
        bytes.set(Self.magic, at: 0)
        bytes.set(isSealed ? Self.sealedVersion : Self.version, at: 8)
        bytes.set(bootMark, at: 10)
        bytes.set(frameCount, at: 12)
        bytes.set(UInt32(usedBytes), at: 16)
        bytes.set(UInt32(groupBytes), at: 20)
        bytes.set(firstLSN, at: 24)
        bytes.set(sequence, at: 32)
        bytes.set(salt, at: 40)
        bytes.set(Self.checksum(UnsafeRawBufferPointer(bytes), salt: salt), at: 4)
    }

    /// Nil when the bytes are no group header of segment `sequence`, whatever its salt.
    init?(reading bytes: UnsafeRawBufferPointer, sequence: UInt64) {
        guard bytes.count >= Self.sizeBytes, bytes.field(UInt64.self, at: 32) == sequence else { return nil }
        self.init(readingAny: bytes)
    }

    /// Nil when the bytes are no group header of any segment.
    init?(readingAny bytes: UnsafeRawBufferPointer) {
        guard Self.format(of: bytes) == .ours else { return nil }
        salt = bytes.field(at: 40)
        sequence = bytes.field(at: 32)
        bootMark = bytes.field(at: 10)
        frameCount = bytes.field(at: 12)
        usedBytes = Int(bytes.field(UInt32.self, at: 16))
        groupBytes = Int(bytes.field(UInt32.self, at: 20))
        firstLSN = bytes.field(at: 24)
        isSealed = bytes.field(UInt16.self, at: 8) == Self.sealedVersion
        guard usedBytes >= headBytes, usedBytes <= groupBytes, groupBytes % Block.sizeBytes == 0 else {
            return nil
        }
    }

    /// Nil unless the header belongs to this very use of the segment file. In a sealed segment there are sealed groups only, in
    /// others none, so that a plain group cannot be slipped in.
    init?(reading bytes: UnsafeRawBufferPointer, of segment: LiveSegment<some Sendable>) {
        self.init(reading: bytes, sequence: segment.sequence)
        guard salt == segment.salt, isSealed == (segment.keys != nil) else { return nil }
    }

    /// What the bytes say of the group's format. In every version magic, checksum, version, sequence and salt are where
    /// they are now, and the checksum covers bytes 8 to 47.
    static func format(of bytes: UnsafeRawBufferPointer) -> SegmentFormat {
        guard bytes.count >= sizeBytes, bytes.field(UInt32.self, at: 0) == magic,
            bytes.field(UInt32.self, at: 4) == checksum(bytes, salt: bytes.field(at: 40))
        else { return .unknown }
        let found = bytes.field(UInt16.self, at: 8)
        if found > sealedVersion { return .newer(NewerFormat(version: UInt32(found))) }
        return found >= version ? .ours : .unknown
    }

    init(
        frameCount: UInt32, usedBytes: Int, firstLSN: UInt64, sequence: UInt64, salt: UInt64, bootMark: UInt16 = 0,
        isSealed: Bool = false
    ) {
        self.bootMark = bootMark
        self.isSealed = isSealed
        self.frameCount = frameCount
        self.usedBytes = usedBytes
        self.groupBytes = Block.roundedUp(usedBytes)
        self.firstLSN = firstLSN
        self.sequence = sequence
        self.salt = salt
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer, salt: UInt64) -> UInt32 {
        cairn_crc32c(UInt32(truncatingIfNeeded: salt >> 32), bytes.baseAddress! + 8, sizeBytes - 8)
    }
}

/// What the tag of a sealed group binds besides its frames: everything in its header that the frames do not tell themselves, and its
/// place. Known before the first frame is, so that a group can be sealed while it grows.
struct GroupBinding {
    private var words: (UInt64, UInt64, UInt64, UInt64, UInt64)

    init(sequence: UInt64, salt: UInt64, firstLSN: UInt64, bootMark: UInt16, offsetBytes: Int) {
        words = (
            (UInt64(GroupHeader.sealedVersion) | UInt64(bootMark) << 16).littleEndian, firstLSN.littleEndian,
            sequence.littleEndian, salt.littleEndian, UInt64(offsetBytes).littleEndian
        )
    }

    init(_ header: GroupHeader, offsetBytes: Int) {
        self.init(
            sequence: header.sequence, salt: header.salt, firstLSN: header.firstLSN, bootMark: header.bootMark,
            offsetBytes: offsetBytes)
    }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { withUnsafeBytes(of: words, body) }
}
