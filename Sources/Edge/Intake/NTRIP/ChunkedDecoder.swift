import NIOCore

/// Takes the HTTP/1.1 chunked coding off a body; slices go through, nothing is kept. Source: RFC 9112 section 7.1.
struct ChunkedDecoder {
    enum Failure: Error, Equatable {
        case badSize
        case sizeTooLarge(limitBytes: Int)
        case lineTooLong(limitBytes: Int)
        case badDelimiter
    }
    private enum State {
        /// In the hexadecimal size, `digits` of which have been read.
        case size(Int, digits: Int)
        /// In the rest of the size line: an extension, which means nothing to us, or CR LF.
        case sizeLineEnd(Int, lineBytes: Int)
        case data(remaining: Int)
        case dataEnd(sawCR: Bool)
        case trailer(lineBytes: Int, totalBytes: Int)
        case ended
    }
    private var state = State.size(0, digits: 0)

    static let chunkBytesMax = 16 << 20
    static let lineBytesMax = 1024

    var isEnded: Bool { if case .ended = state { true } else { false } }

    /// Hands the pieces of the body in `input` to `emit`; bytes after the last chunk are dropped.
    mutating func decode(_ input: ByteBuffer, _ emit: (ByteBuffer) -> Void) throws(Failure) {
        var input = input
        while input.readableBytes > 0 {
            if case .data(let remaining) = state {
                guard let piece = input.readSlice(length: min(remaining, input.readableBytes)) else { return }
                emit(piece)
                let left = remaining - piece.readableBytes
                state = left == 0 ? .dataEnd(sawCR: false) : .data(remaining: left)
                continue
            }
            if isEnded { return }
            guard let byte = input.readInteger(as: UInt8.self) else { return }
            try step(byte)
        }
    }

    private mutating func step(_ byte: UInt8) throws(Failure) {
        switch state {
        case .size(let value, let digits): try stepSize(byte, value, digits)
        case .sizeLineEnd(let value, let lineBytes):
            guard lineBytes < Self.lineBytesMax else { throw .lineTooLong(limitBytes: Self.lineBytesMax) }
            state = .sizeLineEnd(value, lineBytes: lineBytes + 1)
            if byte == UInt8(ascii: "\n") {
                state = value == 0 ? .trailer(lineBytes: 0, totalBytes: 0) : .data(remaining: value)
            }
        case .dataEnd(let sawCR):
            if byte == UInt8(ascii: "\n") {
                state = .size(0, digits: 0)
            } else if byte == UInt8(ascii: "\r") && !sawCR {
                state = .dataEnd(sawCR: true)
            } else {
                throw .badDelimiter
            }
        case .trailer(let lineBytes, let totalBytes):
            guard totalBytes < Self.lineBytesMax else { throw .lineTooLong(limitBytes: Self.lineBytesMax) }
            if byte == UInt8(ascii: "\n") {
                state = lineBytes == 0 ? .ended : .trailer(lineBytes: 0, totalBytes: totalBytes + 1)
            } else {
                let isText = byte != UInt8(ascii: "\r")
                state = .trailer(lineBytes: lineBytes + (isText ? 1 : 0), totalBytes: totalBytes + 1)
            }
        case .data, .ended:
            break
        }
    }

    private mutating func stepSize(_ byte: UInt8, _ value: Int, _ digits: Int) throws(Failure) {
        if let digit = hexadecimal(byte) {
            let next = value << 4 | digit
            guard next <= Self.chunkBytesMax, digits < 16 else { throw .sizeTooLarge(limitBytes: Self.chunkBytesMax) }
            state = .size(next, digits: digits + 1)
            return
        }
        let isEnd = [UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")].contains(byte)
        if digits > 0 && byte == UInt8(ascii: "\n") {
            state = value == 0 ? .trailer(lineBytes: 0, totalBytes: 0) : .data(remaining: value)
        } else if digits > 0 && isEnd {
            state = .sizeLineEnd(value, lineBytes: digits + 1)
        } else {
            throw .badSize
        }
    }

    private func hexadecimal(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "A")...UInt8(ascii: "F"): Int(byte - UInt8(ascii: "A")) + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): Int(byte - UInt8(ascii: "a")) + 10
        default: nil
        }
    }
}

/// The decoder in a pipeline. The end of the body, and a coding error, end the connection.
final class ChunkedBodyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var decoder = ChunkedDecoder()
    private var isFailed = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isFailed else { return }
        do throws(ChunkedDecoder.Failure) {
            try decoder.decode(unwrapInboundIn(data)) { context.fireChannelRead(wrapInboundOut($0)) }
        } catch {
            isFailed = true
        }
        if isFailed || decoder.isEnded {
            isFailed = true
            // After the bytes that came with it have been passed on and delivered.
            context.fireChannelReadComplete()
            context.close(promise: nil)
        }
    }
}
