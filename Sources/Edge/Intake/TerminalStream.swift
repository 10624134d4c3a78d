import GNSS
import KafkaProtocol
import NIOCore

/// Who sends a stream, as its records say it.
struct StreamIdentity: Sendable, Equatable {
    enum Source: String, Sendable {
        case ntrip, tcp, udp
    }
    /// The mountpoint or the terminal id.
    var key: String
    var source: Source
    /// Address and port of the other end.
    var peer: String
    var session: String

    /// As routes of sources know it: `ntrip:MOUNT`, `tcp:ID`, `udp:ID`.
    var name: String { source.rawValue + ":" + key }
}

/// Turns the bytes of one connection into records. No I/O, no clock: the time comes in with the bytes.
///
/// Known frames and unknown bytes are kept apart; the header `position`, the offset of a record's first byte in the stream,
/// is how the two merge back into what was sent.
struct TerminalStream {
    /// Records for one topic, with what they cost to hold.
    struct Output {
        var records: [TerminalRecord] = []
        var costBytes = 0

        mutating func append(_ record: TerminalRecord) {
            records.append(record)
            costBytes += TerminalStream.cost(record)
        }
    }

    /// What a record holds besides its value: headers, key, and their bookkeeping. An estimate for the limits.
    private static let recordOverheadBytes = 160
    private static let cachedTypesMax = 256

    static func cost(_ record: TerminalRecord) -> Int { record.value.readableBytes + recordOverheadBytes }

    private let unit: StreamConfiguration.RecordUnit
    private var framer: StreamFramer
    private var assembler: EpochAssembler
    private let key: ByteBuffer
    private let constantHeaders: [RecordHeader]
    private var types: [FrameType: ByteBuffer] = [:]
    private let epochType = ByteBuffer(string: "epoch")
    /// When the newest bytes came: records are stamped with it, not with the time at which a pause was noticed.
    private var receivedAt = Arrival(wallMs: 0)
    /// When the newest frame of the unfinished epoch came.
    private var assembledAt = Arrival(wallMs: 0)

    private(set) var known = Output()
    private(set) var unknown = Output()
    /// Frames with a right checksum since the counts were last taken.
    private(set) var frameCounts: [FrameType: Int] = [:]
    private(set) var unknownByteCount = 0

    init(_ configuration: StreamConfiguration, identity: StreamIdentity) {
        var limits = StreamFramer.Limits()
        limits.ubxPayloadBytesMax = configuration.ubxPayloadBytesMax
        limits.unknownBytesMax = configuration.unknownBytesMax
        unit = configuration.unit
        framer = StreamFramer(limits: limits)
        assembler = EpochAssembler(bytesMax: configuration.epochBytesMax)
        key = ByteBuffer(string: identity.key)
        constantHeaders = [
            RecordHeader(key: "source", value: ByteBuffer(string: identity.source.rawValue)),
            RecordHeader(key: "peer", value: ByteBuffer(string: identity.peer)),
            RecordHeader(key: "session", value: ByteBuffer(string: identity.session)),
        ]
    }

    /// Bytes that are in no record yet.
    var heldBytes: Int { framer.bufferedBytes + assembler.bufferedBytes }
    /// Whether a pause would bring something out.
    var isWaiting: Bool { heldBytes > 0 }
    /// Where a frame waits for its end; nil if none does.
    var claimPosition: UInt64? { framer.claimPosition }

    mutating func received(_ bytes: ByteBuffer, at arrival: Arrival) {
        receivedAt = arrival
        framer.append(bytes)
        while let frame = framer.next() { take(frame) }
    }

    /// The terminal paused: what is complete goes out, a frame that has begun stays.
    mutating func paused() {
        if let frame = framer.takeUnknown() { take(frame) }
        flushEpoch()
    }

    /// The end of a frame did not come in time though other bytes did: it was none.
    mutating func claimExpired() {
        framer.releaseClaim()
        while let frame = framer.next() { take(frame) }
    }

    /// The terminal is gone, or has been silent for long: everything goes out.
    mutating func ended() {
        while let frame = framer.drain() { take(frame) }
        flushEpoch()
    }

    /// Hands over the finished records and starts anew.
    mutating func takeOutput() -> (known: Output, unknown: Output) {
        defer {
            known = Output()
            unknown = Output()
        }
        return (known, unknown)
    }

    mutating func takeCounts() -> (frames: [FrameType: Int], unknownBytes: Int) {
        defer {
            frameCounts.removeAll(keepingCapacity: true)
            unknownByteCount = 0
        }
        return (frameCounts, unknownByteCount)
    }

    private mutating func take(_ frame: Frame) {
        let type = frame.type
        if frame.kind == .unknown {
            unknownByteCount += frame.bytes.readableBytes
            flushEpoch()
            unknown.append(record(frame.bytes, typeBytes(type), frame.position, receivedAt))
            return
        }
        frameCounts[type, default: 0] += 1
        switch unit {
        case .frame:
            known.append(record(frame.bytes, typeBytes(type), frame.position, receivedAt))
        case .epoch:
            assemble(frame)
        }
    }

    private mutating func assemble(_ frame: Frame) {
        var finished: [EpochRecord] = []
        assembler.append(frame) { finished.append($0) }
        for epoch in finished {
            // An epoch that this frame only showed to be over was complete when its own last frame came.
            let isLast = epoch.position + UInt64(epoch.bytes.readableBytes) == frame.end
            known.append(record(epoch.bytes, epochType, epoch.position, isLast ? receivedAt : assembledAt))
        }
        assembledAt = receivedAt
    }

    private mutating func flushEpoch() {
        guard let epoch = assembler.flush() else { return }
        known.append(record(epoch.bytes, epochType, epoch.position, assembledAt))
    }

    private func record(_ bytes: ByteBuffer, _ type: ByteBuffer, _ position: UInt64, _ arrival: Arrival)
        -> TerminalRecord
    {
        var headers = constantHeaders
        headers.append(RecordHeader(key: "type", value: type))
        headers.append(RecordHeader(key: "position", value: ByteBuffer(string: String(position))))
        return TerminalRecord(
            key: key, value: bytes, timestampMs: arrival.wallMs, arrivedNs: arrival.monotonicNs, headers: headers)
    }

    /// A terminal sends few types again and again: their text is made once.
    private mutating func typeBytes(_ type: FrameType) -> ByteBuffer {
        if let known = types[type] { return known }
        let bytes = ByteBuffer(string: type.description)
        if types.count < Self.cachedTypesMax { types[type] = bytes }
        return bytes
    }
}
