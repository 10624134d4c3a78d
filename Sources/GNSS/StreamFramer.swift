public import NIOCore

/// Cuts the bytes of a terminal into RTCM 3, NMEA 0183 and UBX frames, which real streams mix.
///
/// - Shape: bytes go in at ``append(_:)``, frames come out of ``next()``, until it returns nil. Every byte comes out exactly
///   once and in order; what no checksum vouches for comes out as runs of ``FrameKind/unknown``.
/// - The frames do not depend on how the bytes were cut into pieces on the way.
/// - Bounds: after `next()` returned nil no more is held than one unknown run and the longest frame of ``Limits``.
///   Work is linear in the bytes, garbage included. Any bytes are allowed; nothing here can fail.
/// - Sources: RTCM 10403.3 section 4; NMEA 0183; u-blox ZED-F9P interface description, UBX frame structure.
public struct StreamFramer: Sendable {
    public struct Limits: Sendable, Equatable {
        /// Sentences are 82 characters long by the book, about 93 from real receivers, and longer from proprietary ones.
        public var nmeaBytesMax = 1024
        /// The format allows 65,535; receivers stay far below, and a false claim holds up what follows it.
        public var ubxPayloadBytesMax = 16_384
        /// A run of unknown bytes is cut at this size.
        public var unknownBytesMax = 4096
        public init() {}
    }

    private var buffer = ByteBuffer()
    /// No slice of `buffer` has been given away, so that it can be appended to in place.
    private var ownsStorage = false
    /// The stream position of the first buffered byte.
    private var position: UInt64 = 0
    /// So many bytes from there on start no frame.
    private var unknownBytes = 0
    /// The frame that follows the unknown bytes.
    private var accepted: (kind: FrameKind, lengthBytes: Int)?
    private var isWaiting = false
    private var judge: FrameJudge

    public init(limits: Limits = Limits()) {
        precondition(limits.unknownBytesMax > 0, "unknownBytesMax is \(limits.unknownBytesMax)")
        judge = FrameJudge(limits: limits)
    }

    public var bufferedBytes: Int { buffer.readableBytes }
    var summedBytes: Int { judge.summedBytes }

    /// Where a frame seems to start of which the end has not arrived; nil while nothing is held up.
    public var claimPosition: UInt64? { isWaiting ? position + UInt64(unknownBytes) : nil }

    /// Whether there are bytes that are known to be in no frame and still wait for company.
    public var hasUnknown: Bool { unknownBytes > 0 }

    /// Takes over `bytes`; without copying them if nothing is left of earlier ones.
    public mutating func append(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        isWaiting = false
        if buffer.readableBytes == 0 {
            buffer = bytes
            ownsStorage = false
            return
        }
        if !ownsStorage {
            var joined = ByteBufferAllocator().buffer(capacity: buffer.readableBytes + bytes.readableBytes)
            joined.writeImmutableBuffer(buffer)
            buffer = joined
            ownsStorage = true
        }
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next frame or run of unknown bytes, nil if that takes more input.
    public mutating func next() -> Frame? {
        step(isEnd: false)
    }

    /// Like ``next()``, for a stream that has ended or fallen silent: an incomplete frame is given up, and repeated calls
    /// bring out every byte.
    public mutating func drain() -> Frame? {
        step(isEnd: true) ?? takeUnknown()
    }

    /// The unknown bytes so far, not waiting for the frame that will end their run.
    public mutating func takeUnknown() -> Frame? {
        unknownBytes > 0 ? take(.unknown, unknownBytes) : nil
    }

    /// Gives up the frame at ``claimPosition``, whose end did not come in time; `next()` then looks behind its first byte.
    public mutating func releaseClaim() {
        guard isWaiting else { return }
        isWaiting = false
        unknownBytes += 1
    }

    private mutating func step(isEnd: Bool) -> Frame? {
        if accepted == nil && !(isWaiting && !isEnd) { search(isEnd: isEnd) }
        if unknownBytes > 0 && (accepted != nil || unknownBytes >= judge.limits.unknownBytesMax) {
            return take(.unknown, min(unknownBytes, judge.limits.unknownBytesMax))
        }
        guard let frame = accepted else { return nil }
        accepted = nil
        return take(frame.kind, frame.lengthBytes)
    }

    /// Moves over bytes that start no frame, up to one that does, to the size limit of a run, or to the end.
    private mutating func search(isEnd: Bool) {
        isWaiting = false
        // A second reference, so that `self` can change meanwhile; it is gone before the next append.
        let held = buffer
        held.withUnsafeReadableBytes { bytes in
            while unknownBytes < judge.limits.unknownBytesMax, unknownBytes < bytes.count {
                guard FrameJudge.isSync(bytes[unknownBytes]) else {
                    unknownBytes += 1
                    continue
                }
                let rest = UnsafeRawBufferPointer(rebasing: bytes[unknownBytes...])
                switch judge.judge(rest, at: position + UInt64(unknownBytes)) {
                case .frame(let kind, let lengthBytes):
                    accepted = (kind, lengthBytes)
                    return
                case .incomplete where !isEnd:
                    isWaiting = true
                    return
                case .incomplete, .rejected:
                    unknownBytes += 1
                }
            }
        }
    }

    private mutating func take(_ kind: FrameKind, _ lengthBytes: Int) -> Frame {
        guard let bytes = buffer.readSlice(length: lengthBytes) else {
            preconditionFailure("frame of \(lengthBytes) bytes in \(buffer.readableBytes)")
        }
        let frame = Frame(kind: kind, bytes: bytes, position: position)
        position += UInt64(lengthBytes)
        ownsStorage = false
        if kind == .unknown { unknownBytes -= lengthBytes }
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return frame
    }
}
