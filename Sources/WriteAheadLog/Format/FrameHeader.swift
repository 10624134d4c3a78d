import CChecksum

/// What a frame carries.
enum FrameKind: UInt8, Sendable {
    case batch = 1
    case plan = 2
    case uploaded = 3
    case checkpoint = 4
    /// Written when the lane is closed in order; carries nothing.
    case seal = 5
    /// LSNs whose data was given up before it was uploaded.
    case gap = 6
    /// Of a newer program, which says with it something that others may ignore. Never written.
    case unknown = 0
}

/// Fixed part of a frame; topic and payload follow. README, section 3.
struct FrameHeader: Equatable {
    static let sizeBytes = 56
    static let topicBytesMax = 249

    var kind: FrameKind
    /// As it stands in the file, also where it is not known.
    var kindByte: UInt8
    var clockQuality: UInt8 = 0
    /// Of a batch: ``LogEntry/hasGatewayTimes``. Of a plan: ``UploadPlan/clock`` is not nil.
    var hasGatewayTimes = false
    var topicBytes: Int = 0
    var partition: Int32 = 0
    var lsn: UInt64
    var wallMs: Int64 = 0
    var monotonicNs: UInt64 = 0
    var baseOffset: Int64 = 0
    var recordCount: UInt32 = 0
    var payloadBytes: Int
    var storedCRC: UInt32 = 0

    private static let gatewayTimes: UInt8 = 0x80

    var frameBytes: Int { Self.sizeBytes + topicBytes + payloadBytes }

    static func seed(salt: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: salt) }

    /// Writes the fixed part without its checksum, which covers everything after itself and is set last.
    func encode(into bytes: UnsafeMutableRawBufferPointer) {
        bytes.set(UInt32(frameBytes), at: 0)
        bytes.set(kindByte, at: 8)
        bytes.set(clockQuality | (hasGatewayTimes ? Self.gatewayTimes : 0), at: 9)
        bytes.set(UInt16(topicBytes), at: 10)
        bytes.set(partition, at: 12)
        bytes.set(lsn, at: 16)
        bytes.set(wallMs, at: 24)
        bytes.set(monotonicNs, at: 32)
        bytes.set(baseOffset, at: 40)
        bytes.set(recordCount, at: 48)
        bytes.set(UInt32(payloadBytes), at: 52)
    }

    /// Nil when the fields cannot be a frame of at most `limitBytes`; the checksum is not looked at.
    init?(reading bytes: UnsafeRawBufferPointer, limitBytes: Int) {
        guard bytes.count >= Self.sizeBytes, bytes[8] != 0 else { return nil }
        kindByte = bytes[8]
        kind = FrameKind(rawValue: kindByte) ?? .unknown
        storedCRC = bytes.field(at: 4)
        clockQuality = bytes[9] & ~Self.gatewayTimes
        hasGatewayTimes = bytes[9] & Self.gatewayTimes != 0
        topicBytes = Int(bytes.field(UInt16.self, at: 10))
        partition = bytes.field(at: 12)
        lsn = bytes.field(at: 16)
        wallMs = bytes.field(at: 24)
        monotonicNs = bytes.field(at: 32)
        baseOffset = bytes.field(at: 40)
        recordCount = bytes.field(at: 48)
        payloadBytes = Int(bytes.field(UInt32.self, at: 52))
        guard topicBytes <= Self.topicBytesMax, frameBytes <= limitBytes,
            Int(bytes.field(UInt32.self, at: 0)) == frameBytes
        else { return nil }
    }

    init(kind: FrameKind, lsn: UInt64, payloadBytes: Int) {
        self.kind = kind
        kindByte = kind.rawValue
        self.lsn = lsn
        self.payloadBytes = payloadBytes
    }

    /// Checksum of a whole frame in memory.
    static func checksum(_ frame: UnsafeRawBufferPointer, salt: UInt64) -> UInt32 {
        cairn_crc32c(seed(salt: salt), frame.baseAddress! + 8, frame.count - 8)
    }
}
