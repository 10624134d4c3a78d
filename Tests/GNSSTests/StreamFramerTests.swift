import NIOCore
import Testing

@testable import GNSS

@Suite("Stream framer")
struct StreamFramerTests {
    private static let rtcm = RTCMEncoder.station(StationPosition(stationID: 7, x: 1, y: 2, z: 3))
    private static let nmea = NMEAEncoder.frame("GNGGA,120000.00,,,,,0,,,,,,,,")
    private static let ubx = ubxFrame(0x0107, payload: Array(0..<92))

    /// All three kinds with garbage between them that looks like the start of each.
    static func mixed(seed: UInt64) -> ByteBuffer {
        var random = SeededRandom(seed: seed)
        var stream = ByteBuffer()
        let parts = [rtcm, nmea, ubx]
        for _ in 0..<40 {
            stream.writeImmutableBuffer(parts.randomElement(using: &random)!)
            for _ in 0..<Int.random(in: 0...30, using: &random) {
                let tricky: [UInt8] = [0xD3, 0x00, 0x03, 0xB5, 0x62, 0x24, 0x21, 0x2A, 0x0D, 0x0A]
                stream.writeInteger(Bool.random(using: &random) ? tricky.randomElement(using: &random)! : random.next())
            }
        }
        return stream
    }

    @Test("keeps every byte in order, however the stream is cut", arguments: 0..<60 as Range<UInt64>)
    func nothingLost(_ seed: UInt64) {
        let stream = Self.mixed(seed: seed)
        var random = SeededRandom(seed: seed ^ 0xFFFF)
        let whole = framed([stream])
        let pieces = framed(cut(stream, pieceMax: .random(in: 1...200, using: &random), using: &random))
        #expect(joined(whole) == stream, "seed \(seed)")
        #expect(isGapless(whole), "seed \(seed)")
        #expect(pieces == whole, "seed \(seed)")
        #expect(whole.count { $0.kind != .unknown } >= 40, "seed \(seed)")
    }

    @Test("holds an incomplete frame back at every cut and gives its bytes up when drained")
    func everyCut() throws {
        for frame in [Self.rtcm, Self.nmea, Self.ubx] {
            for length in 1..<frame.readableBytes {
                var framer = StreamFramer()
                framer.append(try #require(frame.getSlice(at: 0, length: length)))
                #expect(framer.next() == nil)
                #expect(framer.claimPosition == 0)
                var released = ByteBuffer()
                while let part = framer.drain() { released.writeImmutableBuffer(part.bytes) }
                #expect(released == frame.getSlice(at: 0, length: length))
                #expect(framer.bufferedBytes == 0)
            }
        }
    }

    @Test("accepts no frame with one bit changed")
    func flippedBits() {
        for frame in [Self.rtcm, Self.nmea, Self.ubx] {
            for bit in 0..<frame.readableBytes * 8 {
                var bytes = Array(frame.readableBytesView)
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                let changed = ByteBuffer(bytes: bytes)
                let frames = framed([changed])
                #expect(joined(frames) == changed)
                // The case of a hexadecimal digit and of nothing else is free.
                let isSameText = frame == Self.nmea && String(buffer: changed).uppercased() == String(buffer: frame)
                #expect(isSameText || frames.allSatisfy { $0.kind == .unknown }, "bit \(bit)")
            }
        }
    }

    @Test("finds a frame inside the claim of a false one")
    func falseClaim() {
        var stream = ByteBuffer(bytes: [0xD3, 0x03, 0xFF])
        stream.writeImmutableBuffer(Self.nmea)
        var framer = StreamFramer()
        framer.append(stream)
        #expect(framer.next() == nil)
        #expect(framer.claimPosition == 0)
        framer.releaseClaim()
        #expect(framer.next()?.kind == .unknown)
        #expect(framer.next() == Frame(kind: .nmea, bytes: Self.nmea, position: 3))
        #expect(framer.next() == nil)
    }

    @Test("cuts unknown bytes at the limit of a run, and merges what is below it")
    func unknownRuns() {
        let zeros = ByteBuffer(repeating: 0, count: 10_000)
        let sizes = framed([zeros]).map(\.bytes.readableBytes)
        #expect(sizes == [4096, 4096, 1808])
        #expect(framed((0..<100).map { _ in ByteBuffer(repeating: 1, count: 10) }).map(\.bytes.readableBytes) == [1000])
    }

    @Test("hands out unknown bytes before the frame that follows them, or when asked")
    func unknownOnRequest() {
        var framer = StreamFramer()
        framer.append(ByteBuffer(string: "abc"))
        #expect(framer.next() == nil)
        #expect(framer.takeUnknown() == Frame(kind: .unknown, bytes: ByteBuffer(string: "abc"), position: 0))
        #expect(framer.takeUnknown() == nil)
        framer.append(ByteBuffer(string: "de"))
        framer.append(Self.rtcm)
        #expect(framer.next() == Frame(kind: .unknown, bytes: ByteBuffer(string: "de"), position: 3))
        #expect(framer.next() == Frame(kind: .rtcm, bytes: Self.rtcm, position: 5))
    }

    @Test("refuses frames beyond the limits")
    func limits() {
        let long = NMEAEncoder.frame("PXYZ," + String(repeating: "a", count: 1100))
        #expect(framed([long]).allSatisfy { $0.kind == .unknown })
        let fitting = NMEAEncoder.frame("PXYZ," + String(repeating: "a", count: 1024 - 5 - 6))
        #expect(framed([fitting]).map(\.kind) == [.nmea])
        var small = StreamFramer.Limits()
        small.ubxPayloadBytesMax = 91
        #expect(framed([Self.ubx], limits: small).allSatisfy { $0.kind == .unknown })
    }

    @Test("starts again at the `$` that cuts a sentence short")
    func cutSentence() {
        var stream = ByteBuffer(string: "$GNRMC,1200")
        stream.writeImmutableBuffer(Self.nmea)
        #expect(framed([stream]).map(\.kind) == [.unknown, .nmea])
    }

    @Test("gives slices of what arrived, not copies")
    func slices() throws {
        var stream = Self.ubx
        stream.writeImmutableBuffer(Self.rtcm)
        let frames = framed([stream])
        let storage = stream.withUnsafeReadableBytes { $0.baseAddress }
        let first = try #require(frames.first).bytes.withUnsafeReadableBytes { $0.baseAddress }
        #expect(first == storage)
    }
}

@Suite("Garbage")
struct GarbageTests {
    /// Streams made to be expensive: every byte or two begins a frame that claims a kilobyte or more.
    static let hostile: [[UInt8]] = [
        [0xD3, 0x03], [0xD3, 0x00, 0x10], [0xD3], [0xB5, 0x62], [0xB5, 0x62, 0x01, 0x07, 0x00, 0x3F], [0x24], [0x21],
        Array("!a*00\r\n".utf8), Array("!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!*00\r\n".utf8), [0xD3, 0x03, 0x24, 0xB5, 0x62],
    ]

    @Test("costs a bounded number of checksum steps for each byte", arguments: hostile.indices)
    func linear(_ index: Int) {
        let unit = Self.hostile[index]
        var framer = StreamFramer()
        var bytesOut = 0
        let rounds = 200
        for _ in 0..<rounds {
            framer.append(ByteBuffer(bytes: (0..<1000).map { unit[$0 % unit.count] }))
            while let frame = framer.next() { bytesOut += frame.bytes.readableBytes }
            #expect(framer.bufferedBytes <= 16_384 + 8 + 4096)
        }
        while let frame = framer.drain() { bytesOut += frame.bytes.readableBytes }
        #expect(bytesOut == rounds * 1000)
        #expect(framer.summedBytes <= 3 * bytesOut, "\(framer.summedBytes) of \(bytesOut)")
    }

    @Test("stays linear when tiny frames stand inside large false claims")
    func nestedFrames() {
        let filler = Array(RTCMEncoder.frame(payload: []).readableBytesView)
        var stream = ByteBuffer()
        for _ in 0..<20_000 { stream.writeBytes([0xD3, 0x03, 0xFF] + filler) }
        var framer = StreamFramer()
        framer.append(stream)
        var frames = 0
        while let frame = framer.drain() { frames += frame.kind == .rtcm ? 1 : 0 }
        #expect(frames == 20_000)
        #expect(framer.summedBytes <= 3 * stream.readableBytes, "\(framer.summedBytes) of \(stream.readableBytes)")
    }

    @Test("random bytes never trap and come out whole", arguments: 100..<130 as Range<UInt64>)
    func random(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let noise = ByteBuffer(bytes: (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) })
        let frames = framed(cut(noise, pieceMax: 900, using: &random))
        #expect(joined(frames) == noise, "seed \(seed)")
        for frame in frames where frame.kind != .unknown { decodeAll(frame.bytes) }
    }
}

/// Runs every decoder over `bytes`, whatever they are.
func decodeAll(_ bytes: ByteBuffer) {
    for kind in [FrameKind.rtcm, .nmea, .ubx, .unknown] {
        let frame = Frame(kind: kind, bytes: bytes, position: 0)
        _ = frame.type.description
        _ = EpochMark(frame)
    }
    _ = (MSMHeader(bytes), StationPosition(bytes), NMEASentence(bytes), NMEAFix(bytes), NMEAMotion(bytes))
}
