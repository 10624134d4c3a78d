public import NIOCore

/// Makes valid RTCM 3 frames: for the simulator, and for tests of what reads them.
public enum RTCMEncoder {
    /// Header, payload and CRC. `payload` is at most 1023 bytes.
    public static func frame(payload: [UInt8]) -> ByteBuffer {
        precondition(payload.count <= 1023, "RTCM payload of \(payload.count) bytes")
        var frame = ByteBufferAllocator().buffer(capacity: payload.count + 6)
        frame.writeInteger(UInt8(0xD3))
        frame.writeInteger(UInt16(payload.count))
        frame.writeBytes(payload)
        let crc = frame.withUnsafeReadableBytes { Checksums.crc24q($0) }
        frame.writeInteger(UInt8(truncatingIfNeeded: crc >> 16))
        frame.writeInteger(UInt16(truncatingIfNeeded: crc))
        return frame
    }

    /// Message 1005, or 1006 if the position has an antenna height.
    public static func station(_ position: StationPosition) -> ByteBuffer {
        var bits = BitWriter()
        bits.unsigned(position.antennaHeight == nil ? 1005 : 1006, 12)
        bits.unsigned(UInt64(position.stationID), 12)
        bits.unsigned(0, 6)  // ITRF realization year
        bits.unsigned(0b1110, 4)  // GPS, GLONASS, Galileo; a real station, not a reference one
        bits.signed(steps(position.x), 38)
        bits.unsigned(0b10, 2)  // single receiver oscillator, reserved
        bits.signed(steps(position.y), 38)
        bits.unsigned(0, 2)  // quarter cycle indicator
        bits.signed(steps(position.z), 38)
        if let height = position.antennaHeight { bits.unsigned(UInt64(max(0, steps(height))), 16) }
        return frame(payload: bits.bytes)
    }

    /// Message 1230, GLONASS code-phase biases: all four signals, in steps of 2 cm.
    public static func glonassBiases(stationID: UInt16, biases: [Int16] = [0, 0, 0, 0]) -> ByteBuffer {
        precondition(biases.count == 4, "\(biases.count) biases for 4 signals")
        var bits = BitWriter()
        bits.unsigned(1230, 12)
        bits.unsigned(UInt64(stationID), 12)
        bits.unsigned(1, 1)  // aligned
        bits.unsigned(0, 3)
        bits.unsigned(0b1111, 4)
        for bias in biases { bits.signed(Int64(bias), 16) }
        return frame(payload: bits.bytes)
    }

    private static func steps(_ metres: Double) -> Int64 {
        Int64((metres / StationPosition.step).rounded())
    }
}
