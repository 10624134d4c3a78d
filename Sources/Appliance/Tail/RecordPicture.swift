import GNSS
import NIOCore

/// A record's bytes as a person reads them: each RTCM, NMEA or UBX frame in them, or what they are otherwise.
enum RecordPicture {
    /// Pieces of one record, at most `framesMax`, then how many more there are.
    static func pieces(of value: ByteBuffer, framesMax: Int = 16) -> [String] {
        guard value.readableBytes > 0 else { return ["empty"] }
        var framer = StreamFramer()
        framer.append(value)
        var pieces: [String] = []
        var more = 0
        while let frame = framer.next() ?? framer.drain() {
            guard pieces.count < framesMax else {
                more += 1
                continue
            }
            pieces.append(piece(frame))
        }
        if more > 0 { pieces.append("and \(more) more") }
        return pieces
    }

    private static func piece(_ frame: Frame) -> String {
        let size = frame.bytes.readableBytes
        switch frame.type {
        case .rtcm(let number): return "RTCM \(number.map(String.init) ?? "empty") \(size) B" + details(frame.bytes)
        case .nmea: return "NMEA " + text(frame.bytes, max: 120)
        case .ubx(let id): return "UBX \(id) \(size) B"
        case .unknown:
            return isText(frame.bytes) ? text(frame.bytes, max: 200) : "\(size) bytes " + hex(frame.bytes, max: 16)
        }
    }

    private static func details(_ frame: ByteBuffer) -> String {
        if let header = MSMHeader(frame) {
            return " station \(header.stationID) \(header.epoch.constellation) \(header.satelliteCount) satellites"
        }
        if let station = StationPosition(frame) {
            return " station \(station.stationID) at \(Int(station.x)) \(Int(station.y)) \(Int(station.z)) m"
        }
        return ""
    }

    private static func isText(_ bytes: ByteBuffer) -> Bool {
        bytes.readableBytesView.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
            && String(validating: bytes.readableBytesView, as: UTF8.self) != nil
    }

    /// One line; control characters, which a terminal would obey, come out as dots.
    static func text(_ bytes: ByteBuffer, max limit: Int) -> String {
        let shown = String(decoding: bytes.readableBytesView.prefix(limit), as: UTF8.self)
        let trimmed = shown.trimmingSuffix { $0 == "\r\n" || $0 == "\n" || $0 == "\r" }
        let safe = trimmed.map { $0.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } ? $0 : "." }
        return String(safe) + (bytes.readableBytes > limit ? "…" : "")
    }

    private static func hex(_ bytes: ByteBuffer, max limit: Int) -> String {
        let digits = bytes.readableBytesView.prefix(limit).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return digits.joined() + (bytes.readableBytes > limit ? "…" : "")
    }
}

extension StringProtocol {
    /// Without the characters at the end for which `drop` is true.
    fileprivate func trimmingSuffix(while drop: (Character) -> Bool) -> SubSequence {
        var end = endIndex
        while end > startIndex, drop(self[index(before: end)]) { end = index(before: end) }
        return self[startIndex..<end]
    }
}
