public import NIOCore

/// One MSM7 of the simulator: right in size, structure and CRC; the measurements move, but belong to no real sky.
///
/// Units: as in RTCM 10403.3 tables 3.5-78 to 3.5-82. Size: ⌈(169 + satellites·signals + 36·satellites + 80·cells) / 8⌉ + 6 bytes.
public struct MSM7: Sendable {
    public var constellation: Constellation
    public var stationID: UInt16
    /// 30 bits as the message carries them; ``GNSSTime/rawEpoch(_:)`` makes them.
    public var rawEpoch: UInt32
    /// Whether more messages of this epoch follow.
    public var hasMore: Bool
    /// 1 to 64, ascending.
    public var satellites: [Int]
    /// 1 to 32, ascending; satellites times signals is at most 64.
    public var signals: [Int]

    public init(
        constellation: Constellation, stationID: UInt16, rawEpoch: UInt32, hasMore: Bool, satellites: [Int],
        signals: [Int]
    ) {
        precondition(satellites.count * signals.count <= MSMHeader.cellsMax, "more than \(MSMHeader.cellsMax) cells")
        self.constellation = constellation
        self.stationID = stationID
        self.rawEpoch = rawEpoch
        self.hasMore = hasMore
        self.satellites = satellites
        self.signals = signals
    }

    /// The same generator state gives the same bytes. Low bits are noise as in real observations, which do not compress.
    public func encoded(using random: inout some RandomNumberGenerator) -> ByteBuffer {
        var bits = BitWriter()
        header(&bits)
        let cellCount = satellites.count * signals.count
        for _ in 0..<cellCount { bits.unsigned(1, 1) }
        for satellite in satellites { bits.unsigned(UInt64(66 + satellite % 20), 8) }  // rough range, ms
        for _ in satellites { bits.unsigned(0, 4) }
        for _ in satellites { bits.unsigned(.random(in: 0..<1024, using: &random), 10) }
        for _ in satellites { bits.signed(.random(in: -800...800, using: &random), 14) }  // rough range rate, m/s
        for _ in 0..<cellCount { bits.signed(.random(in: -200_000...200_000, using: &random), 20) }
        for _ in 0..<cellCount { bits.signed(.random(in: -4_000_000...4_000_000, using: &random), 24) }
        for _ in 0..<cellCount { bits.unsigned(.random(in: 500..<704, using: &random), 10) }  // lock time
        for _ in 0..<cellCount { bits.unsigned(0, 1) }
        for _ in 0..<cellCount { bits.unsigned(.random(in: 480..<800, using: &random), 10) }  // 30 to 50 dB-Hz
        for _ in 0..<cellCount { bits.signed(.random(in: -10_000...10_000, using: &random), 15) }
        return RTCMEncoder.frame(payload: bits.bytes)
    }

    private func header(_ bits: inout BitWriter) {
        bits.unsigned(UInt64(constellation.rawValue + 7), 12)
        bits.unsigned(UInt64(stationID), 12)
        bits.unsigned(UInt64(rawEpoch), 30)
        bits.unsigned(hasMore ? 1 : 0, 1)
        bits.unsigned(0, 3 + 7 + 2 + 2 + 1 + 3)
        var satelliteMask: UInt64 = 0
        for satellite in satellites { satelliteMask |= 1 << UInt64(64 - satellite) }
        bits.unsigned(satelliteMask, 64)
        var signalMask: UInt64 = 0
        for signal in signals { signalMask |= 1 << UInt64(32 - signal) }
        bits.unsigned(signalMask, 32)
    }
}
