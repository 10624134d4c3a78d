import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Wire limits")
struct WireLimitTests {
    @Test("an array that claims more elements than bytes are left is refused before memory is taken")
    func countClaims() {
        for (hex, count) in [("7fffffff", Int(Int32.max)), ("00000005 00000000", 5)] {
            var bytes = ByteBuffer(hex: hex)
            let left = bytes.readableBytes - 4
            #expect(throws: WireError.countTooLarge(count: count, availableBytes: left)) {
                try decodeMessage(DeleteGroupsRequest.self, from: &bytes, version: 0, flexible: false)
            }
        }
        // The compact form holds the count plus one.
        var compact = ByteBuffer(hex: "ffffffff0f 00")
        #expect(throws: WireError.countTooLarge(count: Int(UInt32.max) - 1, availableBytes: 1)) {
            try decodeMessage(DeleteGroupsRequest.self, from: &compact, version: 2, flexible: true)
        }
    }

    @Test("all arrays of one message together have a limit")
    func elementLimit() {
        var bytes = ByteBuffer()
        let count = WireReader.elementsMax + 1
        bytes.writeInteger(Int32(count))
        bytes.writeRepeatingByte(0, count: count * 2)
        #expect(throws: WireError.elementsOverLimit(limit: WireReader.elementsMax)) {
            try decodeMessage(DeleteGroupsRequest.self, from: &bytes, version: 0, flexible: false)
        }
    }

    @Test("a compact length of more than 32 bits is an error")
    func longVarint() {
        for hex in ["ffffffff10", "8080808080 01", "ffffffffff"] {
            var bytes = ByteBuffer(hex: hex)
            #expect(throws: WireError.varintTooLong) {
                try decodeMessage(DeleteGroupsRequest.self, from: &bytes, version: 2, flexible: true)
            }
        }
    }

    @Test("unknown tagged fields are skipped, known ones must be whole and in order")
    func tags() throws {
        // Error, no APIs, no throttle time; then the tags.
        func decode(_ tags: String) throws(WireError) -> ApiVersionsResponse {
            var bytes = ByteBuffer(hex: "0000 01 00000000" + tags)
            return try decodeMessage(ApiVersionsResponse.self, from: &bytes, version: 3, flexible: true)
        }
        #expect(try decode("02 03 01 01 7f 03 aabbcc").isZooKeeperMigrationReady)
        #expect(throws: WireError.tagsNotAscending(tag: 3)) { try decode("02 03 01 01 03 01 01") }
        #expect(throws: WireError.tagsNotAscending(tag: 1)) { try decode("02 03 01 01 01 08 0000000000000000") }
        #expect(throws: WireError.trailingBytes(1)) { try decode("01 03 02 0101") }
        #expect(throws: WireError.truncated(neededBytes: 8, availableBytes: 4)) { try decode("01 01 04 00000000") }
        #expect(throws: WireError.truncated(neededBytes: 9, availableBytes: 1)) { try decode("01 03 09 01") }
        #expect(throws: WireError.countTooLarge(count: 100, availableBytes: 3)) { try decode("64 03 01 01") }
    }

    @Test("frames come out whole however the stream is cut", arguments: [1, 2, 3, 7, 64, 1000])
    func frames(_ pieceBytes: Int) throws {
        var random = SeededRandom(seed: UInt64(pieceBytes))
        var stream = ByteBuffer()
        var sent: [ByteBuffer] = []
        for length in [0, 1, 5, 300, 0, 64, 129] {
            let content = random.bytes(length)
            stream.writeInteger(Int32(length))
            stream.writeImmutableBuffer(content)
            sent.append(content)
        }
        var decoder = FrameDecoder(limitBytes: 300)
        var received: [ByteBuffer] = []
        while let piece = stream.readSlice(length: min(pieceBytes, max(1, stream.readableBytes))) {
            decoder.append(piece)
            while let frame = try decoder.next() { received.append(frame) }
        }
        #expect(received == sent)
        #expect(decoder.pendingBytes == 0)
    }

    @Test("a frame over the limit and a negative length are refused as soon as the length is there")
    func frameLimits() {
        var decoder = FrameDecoder(limitBytes: 100)
        decoder.append(ByteBuffer(hex: "00000065"))
        #expect(throws: WireError.frameTooLarge(sizeBytes: 101, limitBytes: 100)) { try decoder.next() }
        var other = FrameDecoder(limitBytes: 100)
        other.append(ByteBuffer(hex: "80000000"))
        #expect(throws: WireError.lengthNegative(Int(Int32.min))) { try other.next() }
    }
}
