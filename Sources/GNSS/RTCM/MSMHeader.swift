public import NIOCore

/// The header of a multiple signal message, 169 bits and the cell mask. Source: RTCM 10403.3 table 3.5-78.
public struct MSMHeader: Sendable, Equatable {
    public var number: UInt16
    public var stationID: UInt16
    public var epoch: RTCM.Epoch
    /// One bit for each satellite, the first in the highest bit.
    public var satelliteMask: UInt64
    /// One bit for each signal, the first in the highest bit.
    public var signalMask: UInt32
    /// Satellite and signal pairs that were observed.
    public var cellCount: Int

    public var satelliteCount: Int { satelliteMask.nonzeroBitCount }
    public var signalCount: Int { signalMask.nonzeroBitCount }

    /// Nil if the frame is no MSM, ends early, or has more than the 64 cells the standard allows.
    public init?(_ frame: ByteBuffer) {
        guard let number = RTCM.messageNumber(frame), Constellation(msm: number) != nil, let epoch = RTCM.epoch(frame)
        else { return nil }
        var bits = BitReader(RTCM.payload(frame))
        bits.skip(12)
        guard let station = bits.unsigned(12) else { return nil }
        bits.skip(30 + 1 + 3 + 7 + 2 + 2 + 1 + 3)
        guard let satellites = bits.unsigned(64), let signals = bits.unsigned(32) else { return nil }
        self.number = number
        self.stationID = UInt16(station)
        self.epoch = epoch
        self.satelliteMask = satellites
        self.signalMask = UInt32(signals)
        self.cellCount = 0
        let cellBits = satelliteCount * signalCount
        guard cellBits <= Self.cellsMax else { return nil }
        guard cellBits > 0 else { return }
        guard let cells = bits.unsigned(cellBits) else { return nil }
        self.cellCount = cells.nonzeroBitCount
    }

    public static let cellsMax = 64
}
