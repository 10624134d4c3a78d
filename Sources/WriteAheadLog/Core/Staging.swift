import CChecksum
import NIOCore
import Sealing

/// Where a frame went inside the group being staged.
struct StagedPosition {
    var offsetBytes: Int
    var frameBytes: Int
}

/// One block-aligned buffer in which a group is built: copy and checksum in a single pass over each batch. A group that is sealed
/// is sealed in place while it grows, a piece at a time, as long as the piece is in the processor's caches.
///
/// Memory is taken page by page as it is touched and reused for every group. While the disk writes from it, the next
/// group is built in another one.
final class Staging {
    private(set) var memory: UnsafeMutableRawBufferPointer
    private(set) var usedBytes = 0
    private var frameCount: UInt32 = 0
    private var salt: UInt64 = 0
    /// The segment it goes to.
    private(set) var sequence: UInt64 = 0
    private var firstLSN: UInt64 = 0
    private var bootMark: UInt16 = 0
    /// Bytes kept free before the group header, for a segment header in the same write.
    private var leadBytes = 0
    /// Nil while a group is built that is not sealed.
    private var sealer: GroupSealer?
    /// Everything before this is sealed already.
    private var sealedThrough = 0
    private static let sealedPieceBytes = 64 << 10

    init(capacityBytes: Int) {
        memory = .allocate(byteCount: Block.roundedUp(capacityBytes), alignment: Block.sizeBytes)
    }

    deinit { memory.deallocate() }

    var isEmpty: Bool { frameCount == 0 }
    /// The group being built is sealed.
    var isSealing: Bool { sealer != nil }
    /// Frames in the group.
    var count: Int { Int(frameCount) }

    /// - Parameter sealer: seals the group, for `offsetBytes` of the segment's file.
    func begin(
        sequence: UInt64, salt: UInt64, firstLSN: UInt64, bootEpoch: UInt64, leadBytes: Int = 0,
        sealer: GroupSealer? = nil, offsetBytes: Int = 0
    ) {
        self.sequence = sequence
        self.salt = salt
        self.firstLSN = firstLSN
        bootMark = BootEpoch.mark(bootEpoch)
        self.leadBytes = leadBytes
        usedBytes = leadBytes + GroupHeader.headBytes(isSealed: sealer != nil)
        frameCount = 0
        self.sealer = sealer
        sealedThrough = usedBytes
        guard let sealer else { return }
        GroupBinding(
            sequence: sequence, salt: salt, firstLSN: firstLSN, bootMark: bootMark, offsetBytes: offsetBytes
        ).withBytes { sealer.begin(at: offsetBytes, bound: $0) }
    }

    /// Whether the group would still be at most `limitBytes` with one more frame.
    func fits(frameBytes: Int, limitBytes: Int) -> Bool { usedBytes - leadBytes + frameBytes <= limitBytes }

    func append(_ header: FrameHeader, topic: String, payload: ByteBuffer) -> StagedPosition {
        let start = usedBytes
        let frameBytes = header.frameBytes
        reserve(start + frameBytes)
        let frame = UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + frameBytes])
        header.encode(into: frame)
        copy(topic: topic, bytes: header.topicBytes, to: frame)
        let headBytes = FrameHeader.sizeBytes + header.topicBytes
        var crc = cairn_crc32c(FrameHeader.seed(salt: salt), frame.baseAddress! + 8, headBytes - 8)
        if header.payloadBytes > 0 {
            crc = payload.withUnsafeReadableBytes { bytes in
                cairn_crc32c_copy(crc, frame.baseAddress! + headBytes, bytes.baseAddress!, bytes.count)
            }
        }
        frame.set(crc, at: 4)
        usedBytes += frameBytes
        frameCount += 1
        if sealer != nil, usedBytes - sealedThrough >= Self.sealedPieceBytes { seal(usedBytes / 16 * 16) }
        return StagedPosition(offsetBytes: start - leadBytes, frameBytes: frameBytes)
    }

    /// Closes the group: header in front, zeros up to the block boundary. What to write, lead included.
    func finish() -> UnsafeRawBufferPointer {
        let header = GroupHeader(
            frameCount: frameCount, usedBytes: usedBytes - leadBytes, firstLSN: firstLSN, sequence: sequence,
            salt: salt, bootMark: bootMark, isSealed: sealer != nil)
        let head = UnsafeMutableRawBufferPointer(rebasing: memory[leadBytes...])
        header.encode(into: head)
        if let sealer {
            seal(usedBytes)
            UnsafeMutableRawBufferPointer(rebasing: head[GroupHeader.keyAt..<GroupHeader.sealedSizeBytes])
                .copyBytes(from: sealer.key.record.bytes)
            sealer.finish(tag: head.baseAddress! + GroupHeader.tagAt)
            // What is sealed is not sealed twice.
            self.sealer = nil
        }
        let total = leadBytes + header.groupBytes
        reserve(total)
        UnsafeMutableRawBufferPointer(rebasing: memory[usedBytes..<total]).initializeMemory(
            as: UInt8.self, repeating: 0)
        return UnsafeRawBufferPointer(rebasing: memory[..<total])
    }

    private func seal(_ end: Int) {
        guard let sealer, sealedThrough < end else { return }
        sealer.seal(UnsafeMutableRawBufferPointer(rebasing: memory[sealedThrough..<end]))
        sealedThrough = end
    }

    private func copy(topic: String, bytes: Int, to frame: UnsafeMutableRawBufferPointer) {
        guard bytes > 0 else { return }
        var topic = topic
        topic.withUTF8 { source in
            UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.sizeBytes..<FrameHeader.sizeBytes + bytes])
                .copyMemory(from: UnsafeRawBufferPointer(source))
        }
    }

    /// Grows for a checkpoint larger than a group; batches never need it.
    private func reserve(_ neededBytes: Int) {
        let needed = Block.roundedUp(neededBytes)
        guard needed > memory.count else { return }
        let grown = UnsafeMutableRawBufferPointer.allocate(byteCount: needed, alignment: Block.sizeBytes)
        grown.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<usedBytes]))
        memory.deallocate()
        memory = grown
    }
}
