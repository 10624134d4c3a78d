import GNSS
import NIOCore

/// A terminal that does not exist: what it would send for one epoch.
///
/// Frames, sizes and checksums are right, times follow the clock handed in; the measurements are noise. A base sends RTCM 3 as
/// a four-constellation station does (about 1.4 KB a second), a rover NMEA along a square.
struct SyntheticTerminal: Sendable {
    let kind: TerminalSimulator.Terminal.Kind
    private let stationID: UInt16
    private var random: NoiseGenerator
    private var epochCount = 0
    private static let stationInterval = 10

    init(kind: TerminalSimulator.Terminal.Kind, number: Int) {
        self.kind = kind
        stationID = UInt16(number % 4096)
        random = NoiseGenerator(state: UInt64(number) &+ 1)
    }

    mutating func epoch(utcMs: Int64) -> ByteBuffer {
        defer { epochCount += 1 }
        return switch kind {
        case .base: observations(GNSSTime(utcMs: utcMs))
        case .rover: fix(utcMs)
        }
    }

    private mutating func observations(_ time: GNSSTime) -> ByteBuffer {
        var bytes = ByteBuffer()
        if epochCount % Self.stationInterval == 0 {
            let offset = Double(stationID) * 100
            let position = StationPosition(stationID: stationID, x: -2_849_830 + offset, y: 4_655_120, z: 3_287_760)
            bytes.writeImmutableBuffer(RTCMEncoder.station(position))
            bytes.writeImmutableBuffer(RTCMEncoder.glonassBiases(stationID: stationID))
        }
        let systems: [(Constellation, satellites: Int, signals: [Int])] = [
            (.gps, 10, [2, 16, 24]), (.glonass, 8, [2, 8]), (.galileo, 9, [2, 8, 16]), (.beidou, 12, [2, 8, 14]),
        ]
        for (index, system) in systems.enumerated() {
            let message = MSM7(
                constellation: system.0, stationID: stationID, rawEpoch: time.rawEpoch(system.0),
                hasMore: index + 1 < systems.count, satellites: Array(1...system.satellites), signals: system.signals)
            bytes.writeImmutableBuffer(message.encoded(using: &random))
        }
        return bytes
    }

    private func fix(_ utcMs: Int64) -> ByteBuffer {
        let point = track(utcMs)
        var bytes = NMEAEncoder.rmc(point)
        bytes.writeImmutableBuffer(NMEAEncoder.gga(point))
        return bytes
    }

    /// A square of about 1 km a side that takes ten minutes; each rover has its own.
    private func track(_ utcMs: Int64) -> TrackPoint {
        let turn = Double(utcMs % 600_000) / 600_000
        let side = 0.01
        let edge = Int(turn * 4)
        let along = turn * 4 - Double(edge)
        let corner: [(Double, Double)] = [(along, 0), (1, along), (1 - along, 1), (0, 1 - along)]
        let (north, east) = corner[min(edge, 3)]
        return TrackPoint(
            utcMs: utcMs, latitude: 30.5 + Double(stationID % 100) * 0.1 + north * side, longitude: 114.3 + east * side,
            altitude: 23.5, speedKnots: 14.4, course: Double(min(edge, 3)) * 90)
    }
}

/// SplitMix64: small, and the same for the same terminal.
struct NoiseGenerator: RandomNumberGenerator, Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
