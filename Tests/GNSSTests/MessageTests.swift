import NIOCore
import Testing

@testable import GNSS

@Suite("RTCM 3")
struct RTCMTests {
    /// The example of RTCM 10403 section 4.2: station 2003, message 1005.
    private static let example: [UInt8] = [
        0xD3, 0x00, 0x13, 0x3E, 0xD7, 0xD3, 0x02, 0x02, 0x98, 0x0E, 0xDE, 0xEF, 0x34, 0xB4, 0xBD, 0x62, 0xAC, 0x09,
        0x41,
        0x98, 0x6F, 0x33, 0x36, 0x0B, 0x98,
    ]

    @Test("the example of the standard decodes")
    func standardExample() throws {
        let frame = try #require(framed([ByteBuffer(bytes: Self.example)]).first)
        #expect(frame.type == .rtcm(1005))
        let position = try #require(StationPosition(frame.bytes))
        #expect(position.stationID == 2003)
        #expect(abs(position.x - 1_114_104.5999) < 1e-4)
        #expect(abs(position.y - -4_850_729.7108) < 1e-4)
        #expect(abs(position.z - 3_975_521.4643) < 1e-4)
    }

    @Test("a station position comes back as it was encoded", arguments: [nil, 1.6543])
    func stationRoundTrip(_ height: Double?) throws {
        let position = StationPosition(
            stationID: 4095, x: -2_694_045.1234, y: -4_293_642.5, z: 3_857_878.9999, antennaHeight: height)
        let decoded = try #require(StationPosition(RTCMEncoder.station(position)))
        #expect(decoded.stationID == 4095)
        #expect(abs(decoded.x - position.x) < 1e-4 && abs(decoded.y - position.y) < 1e-4)
        #expect(abs(decoded.z - position.z) < 1e-4)
        #expect((decoded.antennaHeight == nil) == (height == nil))
    }

    @Test("a synthetic MSM7 has the size and header that the standard gives", arguments: Constellation.allCases)
    func msm7(_ constellation: Constellation) throws {
        var random = SeededRandom(seed: 5)
        let message = MSM7(
            constellation: constellation, stationID: 321, rawEpoch: 345_600_000, hasMore: true,
            satellites: [1, 2, 3, 5, 8, 13, 21, 34, 55, 64], signals: [2, 15, 24, 32])
        let frame = try #require(framed([message.encoded(using: &random)]).first)
        #expect(frame.type == .rtcm(constellation.rawValue + 7))
        let header = try #require(MSMHeader(frame.bytes))
        #expect(header.stationID == 321)
        #expect(header.epoch == RTCM.Epoch(constellation: constellation, raw: 345_600_000, hasMore: true))
        #expect(header.satelliteCount == 10 && header.signalCount == 4 && header.cellCount == 40)
        #expect(frame.bytes.readableBytes == (169 + 36 * 10 + 40 + 80 * 40 + 7) / 8 + 6)
    }

    @Test("headers of real MSM agree with the size of their messages")
    func realSizes() throws {
        var seen = 0
        for frame in framed([try fixture("rtcm3.2.log")]) {
            guard let header = MSMHeader(frame.bytes), header.number % 10 == 7 else { continue }
            seen += 1
            let bits =
                169 + 36 * header.satelliteCount + header.satelliteCount * header.signalCount + 80 * header.cellCount
            // Some encoders fill up with a spare byte.
            #expect(0...1 ~= frame.bytes.readableBytes - ((bits + 7) / 8 + 6))
        }
        #expect(seen == 95)
    }

    @Test("cut frames decode to nil or to a part, never to a trap")
    func everyCut() throws {
        var random = SeededRandom(seed: 1)
        let message = MSM7(
            constellation: .gps, stationID: 1, rawEpoch: 0, hasMore: false, satellites: [1, 2], signals: [2])
        for frame in [message.encoded(using: &random), ByteBuffer(bytes: Self.example)] {
            for length in 0...frame.readableBytes { decodeAll(try #require(frame.getSlice(at: 0, length: length))) }
        }
    }

    @Test("1230 and the empty filler frame are recognised")
    func others() {
        #expect(framed([RTCMEncoder.glonassBiases(stationID: 3)]).map(\.type) == [.rtcm(1230)])
        #expect(framed([RTCMEncoder.frame(payload: [])]).map(\.type.description) == ["rtcm:empty"])
    }
}

@Suite("NMEA 0183")
struct NMEATests {
    @Test("a GGA of a real receiver decodes")
    func gga() throws {
        let text = "$GNGGA,092725.00,4717.11399,N,00833.91590,W,4,18,1.01,499.6,M,48.0,M,1.2,0042*60\r\n"
        let frame = try #require(
            framed([NMEAEncoder.frame(String(text.dropFirst().dropLast(4).prefix { $0 != "*" }))]).first)
        #expect(frame.type.description == "nmea:GGA")
        let fix = try #require(NMEAFix(frame.bytes))
        #expect(fix.timeOfDayMs == 34_045_000)
        #expect(abs(try #require(fix.latitude) - 47.28523317) < 1e-6)
        #expect(abs(try #require(fix.longitude) + 8.56526500) < 1e-6)
        #expect(fix.quality == 4 && fix.satelliteCount == 18 && fix.stationID == "0042")
        #expect(fix.altitude == 499.6 && fix.correctionAge == 1.2)
    }

    @Test("an empty fix is a fix without a position")
    func emptyFix() throws {
        let fix = try #require(NMEAFix(NMEAEncoder.frame("GPGGA,,,,,,0,,,,,,,,")))
        #expect(fix.latitude == nil && fix.timeOfDayMs == nil && fix.quality == 0)
    }

    @Test("synthetic GGA and RMC tell the point of the track they were made of")
    func roundTrip() throws {
        // 2026-02-28 23:59:59.5 UTC
        let point = TrackPoint(
            utcMs: 1_772_323_199_500, latitude: -33.8567844, longitude: 151.2152967, altitude: -3.25, speedKnots: 12.5,
            course: 271.25)
        let frames = framed([NMEAEncoder.gga(point), NMEAEncoder.rmc(point)])
        #expect(frames.map(\.type.description) == ["nmea:GGA", "nmea:RMC"])
        let fix = try #require(NMEAFix(frames[0].bytes))
        let motion = try #require(NMEAMotion(frames[1].bytes))
        #expect(fix.timeOfDayMs == 86_399_500 && motion.timeOfDayMs == 86_399_500)
        #expect(abs(try #require(fix.latitude) - point.latitude) < 1e-8)
        #expect(abs(try #require(motion.longitude) - point.longitude) < 1e-8)
        #expect(fix.altitude == -3.25 && motion.speedKnots == 12.5 && motion.course == 271.25)
        #expect(motion.date == "280226" && motion.isValid)
    }

    @Test("types leave out the talker, except where there is none")
    func types() {
        #expect(NMEA.type(NMEAEncoder.frame("PUBX,00,1")).description == "PUBX")
        #expect(
            NMEA.type(ByteBuffer(string: "!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24\r\n")).description == "VDM")
        #expect(NMEA.type(NMEAEncoder.frame("GN")).description == "GN")
    }

    @Test("bad times are no times")
    func badTimes() {
        for time in ["240000.00", "126000", "12000", "12a000", "120061", ""] {
            #expect(NMEA.timeOfDayMs(NMEAEncoder.frame("GNGGA,\(time),,")) == nil, "\(time)")
        }
        #expect(NMEA.timeOfDayMs(NMEAEncoder.frame("GNGLL,,,,,000001.25,V")) == 1250)
    }
}

@Suite("UBX")
struct UBXTests {
    @Test("messages tell class, id, name and time of week")
    func identity() throws {
        let position = ubxFrame(0x0107, payload: [0x40, 0xE2, 0x01, 0x00] + Array(repeating: 0, count: 88))
        let frame = try #require(framed([position]).first)
        #expect(frame.type.description == "ubx:01-07")
        #expect(UBX.id(frame.bytes)?.name == "NAV-PVT")
        #expect(UBX.timeOfWeekMs(frame.bytes) == 123_456)
        #expect(UBX.timeOfWeekMs(ubxFrame(0x013B, payload: [0, 0, 0, 0, 1, 0, 0, 0])) == 1)
    }

    @Test("the measurement time of RXM-RAWX is read in ms, and nonsense is none")
    func rawTime() {
        func raw(_ seconds: Double) -> UInt32? {
            let bytes = withUnsafeBytes(of: seconds.bitPattern.littleEndian) { Array($0) }
            return UBX.timeOfWeekMs(ubxFrame(0x0215, payload: bytes + [0, 0, 0, 0]))
        }
        #expect(raw(345_600.997) == 345_600_997)
        for bad in [Double.nan, .infinity, -1, 1e300] { #expect(raw(bad) == nil) }
    }

    @Test("short frames have no time and never trap")
    func everyCut() throws {
        for id in [0x0107, 0x0113, 0x0215, 0x0214, 0x0501] as [UInt16] {
            let frame = ubxFrame(id, payload: Array(repeating: 0xFF, count: 16))
            for length in 0...frame.readableBytes { decodeAll(try #require(frame.getSlice(at: 0, length: length))) }
        }
    }
}

@Suite("Sourcetable")
struct SourcetableTests {
    @Test("lines have the number of fields the standard gives, whatever the fields contain")
    func fieldCounts() {
        var stream = Sourcetable.Stream(mountpoint: "SITE01")
        stream.identifier = "a;b\r\nc"
        stream.latitude = -33.856
        #expect(stream.line.split(separator: ";", omittingEmptySubsequences: false).count == 19)
        #expect(stream.line.hasPrefix("STR;SITE01;a b  c;;;2;;;;-33.86;0.00;0;0;;none;B;N;0;"))
        let caster = Sourcetable.Caster(host: "gw", port: 2101, identifier: "Cairn")
        #expect(caster.line.split(separator: ";", omittingEmptySubsequences: false).count == 12)
        let network = Sourcetable.Network(identifier: "N")
        #expect(network.line.split(separator: ";", omittingEmptySubsequences: false).count == 9)
        #expect(Sourcetable(casters: [caster]).text == caster.line + "\r\nENDSOURCETABLE\r\n")
    }
}
