import CChecksum
import NIOCore

/// Walks the frames of one segment in order, verifying each, and says what is missing. Bounded memory, no decisions
/// kept.
///
/// What counts as loss is decided by LSNs, which are dense: bad bytes between two groups whose LSNs join up are the
/// remains of a write that was never acknowledged; if LSNs are missing between them, the bytes are quarantined.
struct SegmentScan<D: Disk> {
    enum Item {
        case frame(Frame)
        /// LSNs that should have come here and did not.
        case gap(LSNGap)
        /// Bytes with valid data after them in which frames are missing.
        case quarantined(offsetBytes: Int, lengthBytes: Int)
        /// A group that is not whole, with nothing valid after it.
        case torn(offsetBytes: Int, lengthBytes: Int)
    }
    struct Frame {
        var header: FrameHeader
        var topic: String
        var groupOffset: Int
        var offset: Int
        var bootEpoch: UInt64?
        /// The first bytes of the payload: a record batch's header, or all of a control frame.
        var payload: ByteBuffer
    }

    private let window: ScanWindow<D>
    /// Collect whole payloads of batches, not only their headers.
    private let wantsPayload: Bool
    private let sequence: UInt64
    private let salt: UInt64
    private let bootEpoch: UInt64
    private let endBytes: Int
    /// Frames from this LSN on are dead: a later segment starts with it.
    private let limitLSN: UInt64
    /// Groups that begin at or below this LSN had been written to their end: a bad frame in one is rot, whatever follows.
    var knownDurableLSN: UInt64 = 0
    /// The LSN that comes next if nothing is missing; nil when unknown.
    private(set) var expectedLSN: UInt64?
    /// Where the next group would be.
    private(set) var position: Int
    private var group: GroupCursor?
    private var pending: [Item] = []

    /// A place inside a group to go on from without verifying what lies before it.
    struct Resume: Sendable {
        fileprivate var group: GroupCursor?
        fileprivate var position: Int
        var expectedLSN: UInt64
    }

    fileprivate struct GroupCursor: Sendable {
        var header: GroupHeader
        var start: Int
        var cursor: Int
        var end: Int { start + header.usedBytes }
        var next: Int { start + header.groupBytes }
    }

    init(
        window: ScanWindow<D>, file: D.File, sequence: UInt64, salt: UInt64, from position: Int = Block.sizeBytes,
        endBytes: Int, expectedLSN: UInt64?, limitLSN: UInt64 = .max, bootEpoch: UInt64 = 0, wantsPayload: Bool = false
    ) {
        self.bootEpoch = bootEpoch
        self.wantsPayload = wantsPayload
        self.window = window
        window.open(file)
        self.sequence = sequence
        self.salt = salt
        self.position = position
        self.endBytes = endBytes
        self.expectedLSN = expectedLSN
        self.limitLSN = limitLSN
    }

    /// The next item, nil at the end of the valid data.
    mutating func next() throws(DiskError) -> Item? {
        while true {
            if !pending.isEmpty { return pending.removeFirst() }
            if expectedLSN == limitLSN { return nil }
            if group != nil {
                if let frame = try nextFrame() { return .frame(frame) }
            } else if try !enterGroup() {
                return pending.isEmpty ? nil : pending.removeFirst()
            }
        }
    }

    /// Nil while nothing is known about LSNs.
    var resume: Resume? {
        expectedLSN.map { Resume(group: group, position: position, expectedLSN: $0) }
    }

    mutating func go(to resume: Resume) {
        group = resume.group
        position = resume.position
        expectedLSN = resume.expectedLSN
    }

    // MARK: Groups

    /// Enters the group at `position` or the next valid one after it; false when there is none.
    private mutating func enterGroup() throws(DiskError) -> Bool {
        guard let (start, header) = try findGroup(from: position, to: endBytes) else { return false }
        if let expected = expectedLSN {
            if header.firstLSN > expected {
                let last = min(header.firstLSN, limitLSN) - 1
                if start > position {
                    pending.append(.quarantined(offsetBytes: position, lengthBytes: start - position))
                }
                pending.append(.gap(LSNGap(firstLSN: expected, lastLSN: last)))
            } else if header.firstLSN < expected {
                // Remains of a group that was written again further on.
                position = start + Block.sizeBytes
                return true
            }
        }
        expectedLSN = header.firstLSN
        if header.firstLSN >= limitLSN {
            expectedLSN = limitLSN
            return true
        }
        position = start
        group = GroupCursor(header: header, start: start, cursor: start + GroupHeader.sizeBytes)
        return true
    }

    private func findGroup(from start: Int, to end: Int) throws(DiskError) -> (Int, GroupHeader)? {
        var at = start
        while at + GroupHeader.sizeBytes <= end {
            let bytes = try window.bytes(at: at, count: GroupHeader.sizeBytes)
            // A group that was cut reaches beyond the end it was given; its frames say where it stops.
            if let header = GroupHeader(reading: bytes, sequence: sequence, salt: salt) { return (at, header) }
            at += Block.sizeBytes
        }
        return nil
    }

    // MARK: Frames

    /// The next frame of the group, nil after the group's end or after something was put into `pending`.
    private mutating func nextFrame() throws(DiskError) -> Frame? {
        guard var current = group else { return nil }
        let expected = expectedLSN ?? current.header.firstLSN
        if expected == current.header.firstLSN + UInt64(current.header.frameCount) {
            position = current.next
            group = nil
            return nil
        }
        guard var frame = try verifiedFrame(at: current.cursor, groupStart: current.start, end: current.end),
            frame.header.lsn == expected
        else {
            try skipBadFrame(current, expected: expected)
            return nil
        }
        frame.bootEpoch = BootEpoch.epoch(of: current.header.bootMark, since: bootEpoch)
        current.cursor += frame.header.frameBytes
        group = current
        expectedLSN = expected + 1
        return frame
    }

    /// Decides what a bad frame means: the healed end of a torn group, the torn tail itself, or rot inside good data.
    private mutating func skipBadFrame(_ current: GroupCursor, expected: UInt64) throws(DiskError) {
        let boundary = Block.roundedUp(current.cursor)
        let following = try findGroup(from: boundary, to: endBytes)
        if let (start, header) = following, start < current.next || header.firstLSN == expected {
            // The group was cut here and the log went on; LSNs tell whether anything is missing.
            position = boundary
            group = nil
            return
        }
        if following == nil, limitLSN == .max, current.header.firstLSN > knownDurableLSN {
            pending.append(.torn(offsetBytes: current.cursor, lengthBytes: current.next - current.cursor))
            position = boundary
            group = nil
            return
        }
        let endLSN = current.header.firstLSN + UInt64(current.header.frameCount)
        let resumed = try frameAfterBad(current, expected: expected)
        let skippedTo = resumed?.offset ?? current.end
        let nextLSN = min(resumed?.lsn ?? endLSN, following?.1.firstLSN ?? .max, limitLSN)
        pending.append(.quarantined(offsetBytes: current.cursor, lengthBytes: skippedTo - current.cursor))
        if nextLSN > expected { pending.append(.gap(LSNGap(firstLSN: expected, lastLSN: nextLSN - 1))) }
        expectedLSN = nextLSN
        guard resumed != nil else {
            position = current.next
            group = nil
            return
        }
        var moved = current
        moved.cursor = skippedTo
        group = moved
    }

    /// Follows the bad frame's length, which may be right though its contents are not, to a frame that verifies.
    private func frameAfterBad(_ current: GroupCursor, expected: UInt64) throws(DiskError) -> (
        offset: Int, lsn: UInt64
    )? {
        let head = try window.bytes(at: current.cursor, count: 4)
        guard head.count == 4 else { return nil }
        let length = Int(head.field(UInt32.self, at: 0))
        let at = current.cursor + length
        guard length >= FrameHeader.sizeBytes, at < current.end,
            let frame = try verifiedFrame(at: at, groupStart: current.start, end: current.end),
            frame.header.lsn == expected + 1
        else { return nil }
        return (at, frame.header.lsn)
    }

    /// The frame at `offset` if its fields and its checksum are right, wherever it is.
    func verifiedFrame(at offset: Int, groupStart: Int, end: Int) throws(DiskError) -> Frame? {
        let headBytes = FrameHeader.sizeBytes + FrameHeader.topicBytesMax
        let head = try window.bytes(at: offset, count: min(headBytes, max(0, end - offset)))
        guard let header = FrameHeader(reading: head, limitBytes: end - offset) else { return nil }
        let payloadStart = FrameHeader.sizeBytes + header.topicBytes
        guard head.count >= payloadStart else { return nil }
        let topicBytes = UnsafeRawBufferPointer(rebasing: head[FrameHeader.sizeBytes..<payloadStart])
        let topic = String(decoding: topicBytes, as: UTF8.self)
        var crc = FrameHeader.seed(salt: salt)
        var payload = ByteBuffer()
        let isPrefix = header.kind == .batch && !wantsPayload
        let wanted = isPrefix ? min(Self.batchPrefixBytes, header.payloadBytes) : header.payloadBytes
        payload.reserveCapacity(wanted)
        var at = 8
        while at < header.frameBytes {
            let piece = try window.bytes(at: offset + at, count: min(header.frameBytes - at, window.limitBytes))
            guard !piece.isEmpty else { return nil }
            crc = cairn_crc32c(crc, piece.baseAddress!, piece.count)
            collect(piece, at: at - payloadStart, wanted: wanted, into: &payload)
            at += piece.count
        }
        guard crc == header.storedCRC else { return nil }
        return Frame(header: header, topic: topic, groupOffset: groupStart, offset: offset, payload: payload)
    }

    /// Enough of a record batch for its fixed header.
    private static var batchPrefixBytes: Int { 61 }

    /// Appends the part of `piece` that belongs to the wanted prefix of the payload; `at` may be negative.
    private func collect(_ piece: UnsafeRawBufferPointer, at: Int, wanted: Int, into payload: inout ByteBuffer) {
        let from = max(0, payload.readableBytes - at)
        let upTo = min(piece.count, wanted - at)
        if from < upTo { payload.writeBytes(UnsafeRawBufferPointer(rebasing: piece[from..<upTo])) }
    }
}
