public import NIOCore

/// The frames of one epoch put together again: what the receiver measured or reported for one instant.
///
/// - Shape: `bytes` is one contiguous stretch of the stream, from `position` on; it holds no unknown bytes.
public struct EpochRecord: Sendable, Equatable {
    public var bytes: ByteBuffer
    public var position: UInt64
    public var frameCount: Int
    /// The first time that a frame of it told.
    public var time: EpochTime?
}

/// A time as one protocol tells it.
public enum EpochTime: Sendable, Hashable {
    /// The raw epoch field of an observation.
    case rtcm(Constellation, UInt32)
    /// Milliseconds since UTC midnight.
    case nmea(UInt32)
    /// GPS time of week in ms.
    case ubx(UInt32)

    /// How long after `earlier` this is, in ms, the turn of the day or week taken into account; nil for different kinds.
    public func ms(since earlier: EpochTime) -> Int64? {
        let dayMs: Int64 = 86_400_000
        switch (self, earlier) {
        case (.nmea(let now), .nmea(let then)):
            return (Int64(now) - Int64(then) + dayMs) % dayMs
        case (.ubx(let now), .ubx(let then)):
            return (Int64(now) - Int64(then) + 7 * dayMs) % (7 * dayMs)
        case (.rtcm(let system, let now), .rtcm(let other, let then)) where system == other:
            let difference = Self.msOfWeek(system, now) - Self.msOfWeek(system, then)
            return ((difference % (7 * dayMs)) + 7 * dayMs) % (7 * dayMs)
        default:
            return nil
        }
    }

    private static func msOfWeek(_ system: Constellation, _ raw: UInt32) -> Int64 {
        guard system == .glonass else { return Int64(raw) }
        return Int64(raw >> 27) * 86_400_000 + Int64(raw & 0x7FF_FFFF)
    }
}

/// Groups the frames of a stream into epochs.
///
/// An epoch ends after an RTCM observation whose "multiple message" bit is 0 and after UBX NAV-EOE, and before a frame that tells
/// another time than an earlier frame of the same protocol in it. It also ends when the stream pauses (``flush()``), before a
/// gap in the positions, and at the size limit. Frames without a time go with those before them.
public struct EpochAssembler: Sendable {
    private let bytesMax: Int
    private var slices: [ByteBuffer] = []
    private var sizeBytes = 0
    private var position: UInt64 = 0
    private var times = EpochTimes()
    private var firstTime: EpochTime?

    /// A frame longer than `bytesMax` makes an epoch of its own.
    public init(bytesMax: Int = 65_536) {
        self.bytesMax = bytesMax
    }

    public var isEmpty: Bool { slices.isEmpty }
    public var bufferedBytes: Int { sizeBytes }

    /// Takes one frame, which must not be unknown bytes, and hands each epoch that it ends to `emit`: none, one, or two.
    public mutating func append(_ frame: Frame, _ emit: (EpochRecord) -> Void) {
        let mark = EpochMark(frame)
        let isContiguous = frame.position == position + UInt64(sizeBytes)
        let fits = sizeBytes + frame.bytes.readableBytes <= bytesMax
        if !isContiguous || !fits || times.differ(from: mark), let record = flush() { emit(record) }
        if slices.isEmpty { position = frame.position }
        slices.append(frame.bytes)
        sizeBytes += frame.bytes.readableBytes
        times.note(mark)
        if firstTime == nil { firstTime = mark.time }
        if mark.endsEpoch, let record = flush() { emit(record) }
    }

    /// The epoch so far; nil if there is nothing.
    public mutating func flush() -> EpochRecord? {
        guard let first = slices.first else { return nil }
        var bytes = first
        if slices.count > 1 {
            bytes = ByteBufferAllocator().buffer(capacity: sizeBytes)
            for slice in slices { bytes.writeImmutableBuffer(slice) }
        }
        let record = EpochRecord(bytes: bytes, position: position, frameCount: slices.count, time: firstTime)
        position += UInt64(sizeBytes)
        sizeBytes = 0
        slices.removeAll(keepingCapacity: true)
        times.removeAll()
        firstTime = nil
        return record
    }
}

/// What one frame says about the epoch it belongs to.
struct EpochMark {
    var time: EpochTime?
    var endsEpoch = false

    init(_ frame: Frame) {
        switch frame.kind {
        case .rtcm:
            guard let epoch = RTCM.epoch(frame.bytes) else { return }
            time = .rtcm(epoch.constellation, epoch.raw)
            endsEpoch = !epoch.hasMore
        case .nmea:
            time = NMEA.timeOfDayMs(frame.bytes).map { .nmea($0) }
        case .ubx:
            time = UBX.timeOfWeekMs(frame.bytes).map { .ubx($0) }
            endsEpoch = UBX.id(frame.bytes) == .endOfEpoch
        case .unknown:
            break
        }
    }
}

/// The times told so far in one epoch. Each protocol and constellation counts its own way, so each is compared with itself.
private struct EpochTimes: Sendable {
    private var rtcm: [Constellation: UInt32] = [:]
    private var nmea: UInt32?
    private var ubx: UInt32?

    func differ(from mark: EpochMark) -> Bool {
        switch mark.time {
        case .rtcm(let constellation, let raw): rtcm[constellation].map { $0 != raw } ?? false
        case .nmea(let time): nmea.map { $0 != time } ?? false
        case .ubx(let time): ubx.map { isFar($0, time) } ?? false
        case nil: false
        }
    }

    /// RXM-RAWX tells the receiver's clock, which wanders by some ms; no receiver makes epochs closer than 20 ms.
    private func isFar(_ a: UInt32, _ b: UInt32) -> Bool {
        a > b ? a - b > 10 : b - a > 10
    }

    mutating func removeAll() {
        rtcm.removeAll(keepingCapacity: true)
        nmea = nil
        ubx = nil
    }

    mutating func note(_ mark: EpochMark) {
        switch mark.time {
        case .rtcm(let constellation, let raw): rtcm[constellation] = raw
        case .nmea(let time): nmea = time
        case .ubx(let time): ubx = time
        case nil: break
        }
    }
}
