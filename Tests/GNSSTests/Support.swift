import Foundation
import NIOCore
import Testing

@testable import GNSS

/// A receiver capture from `Tests/Fixtures/gnss`.
func fixture(_ name: String) throws -> ByteBuffer {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return ByteBuffer(bytes: try Data(contentsOf: folder.appendingPathComponent("Fixtures/gnss/\(name)")))
}

let captures = ["rtcm3.2.log", "testglo.rtcm3", "ublox-zed-f9p-nmea.log", "ublox-zed-f9p_hpg1.11.log"]

/// SplitMix64: the same seed gives the same test.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Every frame of `pieces`, the end of the stream included.
func framed(_ pieces: [ByteBuffer], limits: StreamFramer.Limits = .init()) -> [Frame] {
    var framer = StreamFramer(limits: limits)
    var frames: [Frame] = []
    for piece in pieces {
        framer.append(piece)
        while let frame = framer.next() { frames.append(frame) }
    }
    while let frame = framer.drain() { frames.append(frame) }
    return frames
}

/// `whole` cut at random places; pieces are 1 to `pieceMax` bytes long.
func cut(_ whole: ByteBuffer, pieceMax: Int, using random: inout SeededRandom) -> [ByteBuffer] {
    var rest = whole
    var pieces: [ByteBuffer] = []
    while let piece = rest.readSlice(length: min(rest.readableBytes, .random(in: 1...pieceMax, using: &random))),
        piece.readableBytes > 0
    {
        pieces.append(ByteBuffer(bytes: piece.readableBytesView))
    }
    return pieces
}

/// The frames put behind each other again.
func joined(_ frames: [Frame]) -> ByteBuffer {
    var whole = ByteBuffer()
    for frame in frames { whole.writeImmutableBuffer(frame.bytes) }
    return whole
}

/// Whether each frame starts where the one before it ended.
func isGapless(_ frames: [Frame]) -> Bool {
    zip(frames, frames.dropFirst()).allSatisfy { $0.end == $1.position } && (frames.first?.position ?? 0) == 0
}

/// A UBX frame with a right checksum.
func ubxFrame(_ id: UInt16, payload: [UInt8]) -> ByteBuffer {
    var body = ByteBuffer(integer: id)
    body.writeInteger(UInt16(payload.count), endianness: .little)
    body.writeBytes(payload)
    let checksum = body.withUnsafeReadableBytes { Checksums.fletcher8($0) }
    var frame = ByteBuffer(bytes: [0xB5, 0x62])
    frame.writeImmutableBuffer(body)
    frame.writeInteger(checksum)
    return frame
}
