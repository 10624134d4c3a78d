public import NIOCore

/// The antenna reference point of a station, messages 1005 and 1006. Source: RTCM 10403.3 tables 3.5-6 and 3.5-7.
///
/// Units: metres in the earth-centred earth-fixed frame, sent in steps of 0.1 mm.
public struct StationPosition: Sendable, Equatable {
    public var stationID: UInt16
    public var x: Double
    public var y: Double
    public var z: Double
    /// Of the antenna above the mark; only message 1006 has it.
    public var antennaHeight: Double?

    public init(stationID: UInt16, x: Double, y: Double, z: Double, antennaHeight: Double? = nil) {
        self.stationID = stationID
        self.x = x
        self.y = y
        self.z = z
        self.antennaHeight = antennaHeight
    }

    /// Nil if the frame is neither message or ends early.
    public init?(_ frame: ByteBuffer) {
        guard let number = RTCM.messageNumber(frame), number == 1005 || number == 1006 else { return nil }
        var bits = BitReader(RTCM.payload(frame))
        bits.skip(12)
        guard let station = bits.unsigned(12) else { return nil }
        bits.skip(6 + 4)
        guard let x = bits.signed(38) else { return nil }
        bits.skip(2)
        guard let y = bits.signed(38) else { return nil }
        bits.skip(2)
        guard let z = bits.signed(38) else { return nil }
        self.init(
            stationID: UInt16(station), x: Double(x) * Self.step, y: Double(y) * Self.step, z: Double(z) * Self.step)
        guard number == 1006 else { return }
        guard let height = bits.unsigned(16) else { return nil }
        antennaHeight = Double(height) * Self.step
    }

    static let step = 0.0001
}
