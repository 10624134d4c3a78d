/// Decides whether a frame starts at one byte of a stream. It accepts on a right checksum and on nothing else.
///
/// The cost is linear in the bytes received whatever they are: a byte is summed once for a frame that is accepted, once for
/// a first claim that fails, and once more for all other claims over the same stretch (``RunningSums``).
struct FrameJudge: Sendable {
    enum Verdict: Equatable {
        case frame(FrameKind, lengthBytes: Int)
        /// More bytes are needed to tell.
        case incomplete
        case rejected
    }

    let limits: StreamFramer.Limits
    /// Claims that start before this position overlap one that has failed.
    private var rejectedEnd: UInt64 = 0
    private var sums = RunningSums()
    private var line = Line()
    /// All bytes that went through a checksum: what the promise of linear cost is tested by.
    private(set) var summedBytes = 0

    /// The search for the end of a sentence, remembered between claims and between reads.
    private struct Line {
        var start: UInt64 = 0
        /// Bytes before this are text.
        var scanned: UInt64 = 0
        /// The byte at `scanned` ends the text.
        var isEnded = false
    }

    init(limits: StreamFramer.Limits) {
        self.limits = limits
    }

    static func isSync(_ byte: UInt8) -> Bool {
        byte == 0xD3 || byte == 0xB5 || byte == UInt8(ascii: "$") || byte == UInt8(ascii: "!")
    }

    /// `bytes` starts with the byte in question and goes to the end of what has arrived; it is not empty.
    mutating func judge(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Verdict {
        if position >= rejectedEnd { sums.removeAll() }
        return switch bytes[0] {
        case 0xD3: judgeRTCM(bytes, at: position)
        case 0xB5: judgeUBX(bytes, at: position)
        default: judgeSentence(bytes, at: position)
        }
    }

    private mutating func judgeRTCM(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Verdict {
        guard bytes.count >= 2 else { return .incomplete }
        guard bytes[1] & 0xFC == 0 else { return .rejected }
        guard bytes.count >= 3 else { return .incomplete }
        let summedBytes = 3 + (Int(bytes[1]) << 8 | Int(bytes[2]))
        guard bytes.count >= summedBytes + 3 else { return .incomplete }
        let stored =
            UInt32(bytes[summedBytes]) << 16 | UInt32(bytes[summedBytes + 1]) << 8 | UInt32(bytes[summedBytes + 2])
        let isRight = matches(bytes, 0..<summedBytes, at: position) { sums, range in
            (sums?.crc24q(range.stream) ?? Checksums.crc24q(range.bytes)) == stored
        }
        return isRight ? .frame(.rtcm, lengthBytes: summedBytes + 3) : .rejected
    }

    private mutating func judgeUBX(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Verdict {
        guard bytes.count >= 2 else { return .incomplete }
        guard bytes[1] == 0x62 else { return .rejected }
        guard bytes.count >= 6 else { return .incomplete }
        let payloadBytes = Int(bytes[5]) << 8 | Int(bytes[4])
        guard payloadBytes <= limits.ubxPayloadBytesMax else { return .rejected }
        let end = 6 + payloadBytes
        guard bytes.count >= end + 2 else { return .incomplete }
        let stored = UInt16(bytes[end]) << 8 | UInt16(bytes[end + 1])
        let isRight = matches(bytes, 2..<end, at: position) { sums, range in
            (sums?.fletcher8(range.stream) ?? Checksums.fletcher8(range.bytes)) == stored
        }
        return isRight ? .frame(.ubx, lengthBytes: end + 2) : .rejected
    }

    private mutating func judgeSentence(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Verdict {
        guard let end = lineEnd(bytes, at: position) else {
            return bytes.count < limits.nmeaBytesMax ? .incomplete : .rejected
        }
        guard bytes[end] == UInt8(ascii: "\r"), end + 2 <= limits.nmeaBytesMax else { return .rejected }
        guard end >= 5, bytes[end - 3] == UInt8(ascii: "*"), let high = hexDigit(bytes[end - 2]),
            let low = hexDigit(bytes[end - 1])
        else { return .rejected }
        guard end + 1 < bytes.count else { return .incomplete }
        guard bytes[end + 1] == UInt8(ascii: "\n") else { return .rejected }
        let isRight = matches(bytes, 1..<(end - 3), at: position) { sums, range in
            (sums?.xor(range.stream) ?? Checksums.xor(range.bytes)) == high << 4 | low
        }
        return isRight ? .frame(.nmea, lengthBytes: end + 2) : .rejected
    }

    /// The index of the first byte after the start that cannot stand in a sentence: `$` begins the next one (NMEA 0183
    /// reserves it), and control and 8-bit characters are no text. Nil if there is none within the limit or so far.
    private mutating func lineEnd(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Int? {
        let first = position + 1
        if first < line.start || first > line.scanned { line = Line(start: first, scanned: first) }
        let searchEnd = position + UInt64(min(bytes.count, limits.nmeaBytesMax))
        while !line.isEnded && line.scanned < searchEnd {
            let byte = bytes[Int(line.scanned - position)]
            if byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "$") {
                line.scanned += 1
            } else {
                line.isEnded = true
            }
        }
        return line.isEnded ? Int(line.scanned - position) : nil
    }

    private typealias Stretch = (bytes: UnsafeRawBufferPointer, stream: Range<UInt64>)

    /// Runs `check` over one stretch: on its bytes for a first claim, on the running sums for a further claim over bytes that
    /// have been summed in vain before.
    private mutating func matches(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, at position: UInt64,
        _ check: (RunningSums?, Stretch) -> Bool
    ) -> Bool {
        let stream = position + UInt64(range.lowerBound)..<position + UInt64(range.upperBound)
        let stretch = UnsafeRawBufferPointer(rebasing: bytes[range])
        var isRight: Bool
        if position >= rejectedEnd {
            summedBytes += stretch.count
            isRight = check(nil, (stretch, stream))
        } else {
            summedBytes += sums.cover(UnsafeRawBufferPointer(rebasing: bytes[..<range.upperBound]), at: position)
            isRight = check(sums, (stretch, stream))
        }
        if !isRight { rejectedEnd = max(rejectedEnd, stream.upperBound) }
        return isRight
    }
}

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    default: nil
    }
}
