import NIOCore
import Testing

@testable import GNSS

/// Counts made once by an independent framer over pyrtcm 1.2.1, pynmeagps 1.1.8 and pyubx2 1.4.0.
@Suite("Real receiver captures")
struct CaptureTests {
    static let counts: [String: [String: Int]] = [
        "rtcm3.2.log": [
            "rtcm:63": 13, "rtcm:1007": 3, "rtcm:1008": 3, "rtcm:1019": 32, "rtcm:1020": 24, "rtcm:1033": 3,
            "rtcm:1044": 1, "rtcm:1045": 9, "rtcm:1046": 9, "rtcm:1077": 23, "rtcm:1087": 24, "rtcm:1097": 24,
            "rtcm:1107": 24,
        ],
        "testglo.rtcm3": ["rtcm:1004": 186, "rtcm:1005": 19, "rtcm:1012": 186, "rtcm:1019": 19, "rtcm:1020": 19],
        "ublox-zed-f9p-nmea.log": [
            "nmea:GBS": 29, "nmea:GGA": 29, "nmea:GLL": 29, "nmea:GSA": 116, "nmea:GST": 29, "nmea:GSV": 696,
            "nmea:RMC": 29, "nmea:VTG": 29, "nmea:ZDA": 29,
        ],
        "ublox-zed-f9p_hpg1.11.log": [
            "nmea:GGA": 655, "nmea:GLL": 655, "nmea:RMC": 655, "nmea:VTG": 655, "ubx:01-22": 655, "ubx:02-14": 654,
            "ubx:02-15": 654,
        ],
    ]

    @Test("frames into the known messages and nothing else", arguments: captures)
    func knownCounts(_ name: String) throws {
        let frames = framed([try fixture(name)])
        var counts: [String: Int] = [:]
        for frame in frames where frame.kind != .unknown { counts[frame.type.description, default: 0] += 1 }
        #expect(counts == Self.counts[name])
    }

    @Test("comes out byte for byte", arguments: captures)
    func identical(_ name: String) throws {
        let capture = try fixture(name)
        let frames = framed([capture])
        #expect(isGapless(frames))
        #expect(joined(frames) == capture)
    }

    @Test("has unknown bytes only before the first and after the last frame", arguments: captures)
    func unknownOnlyAtTheEnds(_ name: String) throws {
        let frames = framed([try fixture(name)])
        let known = frames.indices.filter { frames[$0].kind != .unknown }
        let first = try #require(known.first)
        let last = try #require(known.last)
        #expect(known.count == last - first + 1)
    }

    @Test("gives the same frames however it is cut", arguments: captures, [1, 2, 3] as [UInt64])
    func cutAnywhere(_ name: String, _ seed: UInt64) throws {
        let capture = try fixture(name)
        let beginning = try #require(capture.getSlice(at: 0, length: min(60_000, capture.readableBytes)))
        let whole = framed([beginning])
        var random = SeededRandom(seed: seed)
        let pieceMax = [3, 100, 5000][Int(seed - 1)]
        #expect(framed(cut(beginning, pieceMax: pieceMax, using: &random)) == whole, "seed \(seed)")
    }

    @Test("makes one record of each epoch")
    func epochs() throws {
        // 655 fixes, of which the first has no measurements; the comment at the start of the file is unknown.
        #expect(try epochCount("ublox-zed-f9p_hpg1.11.log") == 655)
        #expect(try epochCount("ublox-zed-f9p-nmea.log") == 29)
        // 1004 and 1012 of an epoch share a record, which the last of them ends.
        #expect(try epochCount("testglo.rtcm3") == 186)
    }

    private func epochCount(_ name: String) throws -> Int {
        var assembler = EpochAssembler()
        var records: [EpochRecord] = []
        let frames = framed([try fixture(name)]).filter { $0.kind != .unknown }
        for frame in frames { assembler.append(frame) { records.append($0) } }
        if let rest = assembler.flush() { records.append(rest) }
        #expect(records.reduce(0) { $0 + $1.frameCount } == frames.count)
        return records.count
    }
}
