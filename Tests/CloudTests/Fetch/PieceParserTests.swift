import KafkaProtocol
import NIOCore
import Testing

@testable import Cloud

@Suite("Pieces of extents")
struct PieceParserTests {
    private static func raw(_ batches: Int) -> ByteBuffer {
        var raw = ByteBuffer()
        for index in 0..<batches {
            raw.writeImmutableBuffer(Batches.make((0...(index % 3)).map { "value \(index) \($0)" }))
        }
        return raw
    }

    @Test("every cut gives whole batches or asks for more, and offsets follow each other")
    func everyCut() throws {
        let raw = Self.raw(6)
        let first = Batches.make(["value 0 0"]).readableBytes
        for length in 0...raw.readableBytes {
            let cut = try #require(raw.getSlice(at: 0, length: length))
            switch try PieceParser.parse(cut, startPosition: 100, startOffset: 50) {
            case .needMore(let bytes): #expect(length < first && bytes > length)
            case .piece(let piece):
                #expect(piece.endPosition <= 100 + length)
                #expect(piece.startOffset == 50)
                let records = try Batches.records(piece.bytes)
                #expect(records.map(\.offset) == Array(50..<piece.endOffset))
            }
        }
    }

    @Test("a flipped bit is an error or changes only what the checksum does not cover")
    func everyFlip() throws {
        let raw = Self.raw(3)
        for bit in 0..<(raw.readableBytes * 8) {
            var flipped = raw
            let index = bit / 8
            let byte = try #require(raw.getInteger(at: index, as: UInt8.self))
            flipped.setInteger(byte ^ (1 << UInt8(bit % 8)), at: index)
            do {
                guard case .piece(let piece) = try PieceParser.parse(flipped, startPosition: 0, startOffset: 0) else {
                    continue
                }
                let values = try Batches.records(piece.bytes).map(\.value)
                let whole = try Batches.records(piece.bytes.readableBytes == raw.readableBytes ? raw : piece.bytes)
                #expect(values == whole.map(\.value), "bit \(bit)")
            } catch is PieceError { continue }
        }
    }

    @Test("slices hold whole batches within the limit, from the batch that holds the offset")
    func slices() throws {
        guard case .piece(let piece) = try PieceParser.parse(Self.raw(9), startPosition: 0, startOffset: 0) else {
            Issue.record("no piece")
            return
        }
        for offset in 0..<piece.endOffset {
            for limit in stride(from: 0, to: piece.bytes.readableBytes + 50, by: 37) {
                let slice = piece.slice(from: offset, bytesMax: limit, atLeastOne: false)
                if let slice {
                    #expect(slice.bytes.readableBytes <= limit)
                    let records = try Batches.records(slice.bytes)
                    #expect(records.contains { $0.offset == offset })
                    #expect(records.last.map { $0.offset + 1 } == slice.next)
                }
                #expect(piece.slice(from: offset, bytesMax: limit, atLeastOne: true) != nil)
            }
        }
        #expect(piece.slice(from: piece.endOffset, bytesMax: 1 << 20, atLeastOne: true) == nil)
    }
}
