import Sealing
import Synchronization

/// The plain bytes of one sealed group. They exist only after its tag has verified.
///
/// Unchecked because nobody but `open` writes the bytes, and that only while nobody else holds the group.
final class OpenedGroup: @unchecked Sendable {
    private(set) var header: GroupHeader
    /// Where the group begins in its file.
    private(set) var start: Int
    private var memory: UnsafeMutableRawBufferPointer

    private init(_ header: GroupHeader, start: Int) {
        self.header = header
        self.start = start
        memory = .allocate(byteCount: header.usedBytes - header.headBytes, alignment: 16)
    }

    deinit { memory.deallocate() }

    var plainBytes: Int { header.usedBytes - header.headBytes }
    /// What it holds, which is more where it came from a larger group.
    fileprivate var memoryBytes: Int { memory.count }
    /// Places in the file at which its frames lie.
    var frames: Range<Int> { start + header.headBytes..<start + header.usedBytes }

    /// Bytes of frames by their place in the file; fewer than asked at the end of the group, none outside of it.
    func bytes(at offset: Int, count: Int) -> UnsafeRawBufferPointer {
        guard frames.contains(offset) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        let from = offset - frames.lowerBound
        return UnsafeRawBufferPointer(rebasing: memory[from..<min(from + count, plainBytes)])
    }

    /// The group that begins at `start` of the window's file; nil when it is not what was sealed. Memory of `former` is used again if
    /// nobody else holds it and it is large enough.
    static func open<D: Disk>(
        _ header: GroupHeader, at start: Int, fileBytes: Int, window: ScanWindow<D>, opener: SegmentOpener,
        former: consuming OpenedGroup? = nil
    ) throws(DiskError) -> OpenedGroup? {
        guard header.isSealed, header.groupBytes == Block.roundedUp(header.usedBytes),
            header.usedBytes <= fileBytes - start
        else { return nil }
        let group = reuse(&former, for: header, start) ?? OpenedGroup(header, start: start)
        let head = try window.bytes(at: start, count: GroupHeader.sealedSizeBytes)
        guard head.count == GroupHeader.sealedSizeBytes else { return nil }
        let tag = (
            head.loadUnaligned(fromByteOffset: GroupHeader.tagAt, as: UInt64.self),
            head.loadUnaligned(fromByteOffset: GroupHeader.tagAt + 8, as: UInt64.self)
        )
        for opener in opener.openers(head: head) {
            if try group.fill(window, opener, tag: tag) { return group.isWhole ? group : nil }
        }
        return nil
    }

    private static func reuse(
        _ former: inout OpenedGroup?, for header: GroupHeader, _ start: Int
    ) -> OpenedGroup? {
        guard isKnownUniquelyReferenced(&former), let group = former,
            group.memory.count >= header.usedBytes - header.headBytes
        else { return nil }
        group.header = header
        group.start = start
        return group
    }

    private func fill<D: Disk>(
        _ window: ScanWindow<D>, _ opener: GroupOpener, tag: (UInt64, UInt64)
    ) throws(DiskError) -> Bool {
        GroupBinding(header, offsetBytes: start).withBytes { opener.begin(at: start, bound: $0) }
        var done = 0
        while done < plainBytes {
            let piece = try window.bytes(
                at: frames.lowerBound + done, count: min(plainBytes - done, window.limitBytes))
            guard !piece.isEmpty, let target = memory.baseAddress else { return false }
            opener.open(piece, into: target + done)
            done += piece.count
        }
        return withUnsafeBytes(of: tag) { bytes in bytes.baseAddress.map { opener.finish(tag: $0) } ?? false }
    }

    /// Its frames lie back to back and are as many as the header says, which the tag does not bind.
    private var isWhole: Bool {
        let bytes = UnsafeRawBufferPointer(rebasing: memory[..<plainBytes])
        var count = 0
        var at = 0
        while at + FrameHeader.sizeBytes <= bytes.count {
            let length = Int(bytes.field(UInt32.self, at: at))
            guard length >= FrameHeader.sizeBytes, length <= bytes.count - at else { return false }
            at += length
            count += 1
        }
        return at == bytes.count && count == Int(header.frameCount)
    }
}

/// Groups that were opened a moment ago, for readers that come back for another frame of one. Bounded.
final class OpenedGroups: Sendable {
    struct Place: Equatable {
        var sequence: UInt64
        var salt: UInt64
    }

    private struct Kept {
        var place: Place
        var group: OpenedGroup
    }

    private let kept = Mutex<[Kept]>([])
    /// Of all of them, per lane.
    static let bytesMax = 8 << 20
    private static let countMax = 32

    /// The group in which a frame at `offset` lies.
    func group(holding offset: Int, of place: Place) -> OpenedGroup? {
        kept.withLock { kept in kept.first { $0.place == place && $0.group.frames.contains(offset) }?.group }
    }

    /// A group of one frame is not worth keeping: whoever read it has all of it.
    func keep(_ group: OpenedGroup, of place: Place) {
        guard group.header.frameCount > 1, group.memoryBytes <= Self.bytesMax else { return }
        kept.withLock { kept in
            guard !kept.contains(where: { $0.place == place && $0.group.start == group.start }) else { return }
            kept.append(Kept(place: place, group: group))
            var bytes = kept.reduce(0) { $0 + $1.group.memoryBytes }
            while bytes > Self.bytesMax || kept.count > Self.countMax {
                bytes -= kept.removeFirst().group.memoryBytes
            }
        }
    }
}
