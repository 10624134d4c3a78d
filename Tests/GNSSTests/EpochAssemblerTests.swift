import NIOCore
import Testing

@testable import GNSS

@Suite("Epoch assembler")
struct EpochAssemblerTests {
    /// Frames behind each other, as a stream would have them.
    private func records(_ parts: [ByteBuffer], bytesMax: Int = 65_536) -> [EpochRecord] {
        var stream = ByteBuffer()
        for part in parts { stream.writeImmutableBuffer(part) }
        var assembler = EpochAssembler(bytesMax: bytesMax)
        var records: [EpochRecord] = []
        for frame in framed([stream]) { assembler.append(frame) { records.append($0) } }
        if let rest = assembler.flush() { records.append(rest) }
        return records
    }

    private func msm(_ constellation: Constellation, _ epoch: UInt32, hasMore: Bool) -> ByteBuffer {
        var random = SeededRandom(seed: 9)
        return MSM7(
            constellation: constellation, stationID: 1, rawEpoch: epoch, hasMore: hasMore, satellites: [1], signals: [2]
        ).encoded(using: &random)
    }

    private func gga(_ second: Int) -> ByteBuffer { NMEAEncoder.frame("GNGGA,12000\(second).00,,,,,0,,,,,,,,") }
    private let gsv = NMEAEncoder.frame("GPGSV,1,1,00")
    private func nav(_ ms: UInt32) -> ByteBuffer {
        ubxFrame(0x0107, payload: withUnsafeBytes(of: ms.littleEndian) { Array($0) })
    }

    @Test("an RTCM epoch ends with the message that says no more follow")
    func multipleMessageBit() {
        let station = RTCMEncoder.station(StationPosition(stationID: 1, x: 0, y: 0, z: 0))
        let counts = records([
            station, msm(.gps, 1000, hasMore: true), msm(.beidou, 900, hasMore: false), msm(.gps, 2000, hasMore: true),
            msm(.beidou, 1900, hasMore: false), station,
        ]).map(\.frameCount)
        #expect(counts == [3, 2, 1])
    }

    @Test("a lost last message does not merge two epochs")
    func lostEnd() {
        let counts = records([
            msm(.gps, 1000, hasMore: true), msm(.galileo, 1000, hasMore: true), msm(.gps, 2000, hasMore: true),
            msm(.galileo, 2000, hasMore: false),
        ]).map(\.frameCount)
        #expect(counts == [2, 2])
    }

    @Test("an NMEA epoch ends where the time changes")
    func nmeaTime() {
        #expect(records([gga(1), gsv, gsv, gga(2), gsv, gga(2), gga(3)]).map(\.frameCount) == [3, 3, 1])
    }

    @Test("a UBX epoch ends where the time of week changes or at NAV-EOE")
    func ubxTime() {
        let end = ubxFrame(0x0161, payload: [0xE8, 0x03, 0, 0])
        #expect(records([nav(1000), nav(1000), nav(2000), nav(3000)]).map(\.frameCount) == [2, 1, 1])
        #expect(records([nav(1000), end, gsv, nav(2000)]).map(\.frameCount) == [2, 2])
        // The receiver's own clock is some ms beside.
        #expect(records([nav(1000), nav(997), nav(1004), nav(1980)]).map(\.frameCount) == [3, 1])
    }

    @Test("mixed protocols of one epoch share a record")
    func mixed() {
        #expect(records([nav(1000), gga(1), gsv, nav(2000), gga(2), gsv]).map(\.frameCount) == [3, 3])
    }

    @Test("a record is contiguous: unknown bytes end it")
    func gaps() {
        var assembler = EpochAssembler()
        var records: [EpochRecord] = []
        var stream = gsv
        stream.writeString("??")
        stream.writeImmutableBuffer(gsv)
        for frame in framed([stream]) where frame.kind != .unknown { assembler.append(frame) { records.append($0) } }
        if let rest = assembler.flush() { records.append(rest) }
        #expect(records.map(\.bytes) == [gsv, gsv])
        #expect(records.map(\.position) == [0, UInt64(gsv.readableBytes + 2)])
    }

    @Test("a record stays below the size limit, save for one large frame")
    func sizeLimit() {
        let sizes = records([gsv, gsv, gsv, nav(1), gsv], bytesMax: gsv.readableBytes * 2).map(\.frameCount)
        #expect(sizes == [2, 2, 1])
        #expect(records([nav(1), nav(1)], bytesMax: 4).map(\.frameCount) == [1, 1])
    }
}

@Suite("Time")
struct GNSSTimeTests {
    @Test("dates and times of week are right at known instants")
    func knownInstants() {
        // 2024-02-29 12:00:00 UTC, a Thursday.
        let leapDay = GNSSTime(utcMs: 1_709_208_000_000)
        #expect(leapDay.date == (2024, 2, 29))
        #expect(leapDay.timeOfDayMs == 43_200_000)
        #expect(leapDay.gpsTimeOfWeekMs == (4 * 86_400 + 43_200 + 18) * 1000)
        #expect(leapDay.rawEpoch(.beidou) == leapDay.gpsTimeOfWeekMs - 14_000)
        #expect(leapDay.rawEpoch(.glonass) == 4 << 27 | 54_000_000)
        #expect(GNSSTime(utcMs: 0).date == (1970, 1, 1))
        #expect(GNSSTime(utcMs: -1).date == (1969, 12, 31))
        #expect(GNSSTime(utcMs: -1).timeOfDayMs == 86_399_999)
    }
}
