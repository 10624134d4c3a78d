import Glibc
import NIOCore
import Testing

@testable import ObjectStore

@Suite("Object body")
struct ObjectBodyTests {
    /// Small pieces, large ones, and small ones between large ones.
    private static let sizes = [
        3, 8, 20_000, 8, 70_000, 1, 2, 40_000, 60_000, 15_000, 15_000, 15_000, 15_000, 15_000, 9,
    ]

    private func sample() -> (body: ObjectBody, whole: ByteBuffer) {
        var body = ObjectBody()
        var whole = ByteBuffer()
        for (index, size) in Self.sizes.enumerated() {
            // Inside a larger buffer, as batches inside a request.
            var around = ByteBuffer(repeating: 0, count: 5)
            around.writeImmutableBuffer(bytes(size, seed: UInt8(index + 1)))
            around.moveReaderIndex(forwardBy: 5)
            body.append(around)
            body.append(ByteBuffer())
            whole.writeImmutableBuffer(around)
        }
        return (body, whole)
    }

    @Test("is the pieces one after the other, and copies only small ones together")
    func order() {
        let (body, whole) = sample()
        #expect(body.sizeBytes == whole.readableBytes)
        #expect(body.joined == whole)
        let expected = [11, 20_000, 8, 70_000, 3, 40_000, 60_000, 60_000, 15_009]
        #expect(body.pieces.map(\.readableBytes) == expected)
        #expect(ObjectBody(whole).pieces == [whole])
        #expect(ObjectBody(ByteBuffer()).pieces.isEmpty)
        #expect(ObjectBody().joined == ByteBuffer())
    }

    @Test("gives every range, inside a piece and over several, and none outside")
    func ranges() {
        let (body, whole) = sample()
        var edges = [0]
        for piece in body.pieces { edges.append(edges[edges.count - 1] + piece.readableBytes) }
        let places = edges.flatMap { [$0 - 1, $0, $0 + 1] }.filter { (0...whole.readableBytes).contains($0) }
        for from in places {
            for through in places where through >= from {
                #expect(body.bytes(from..<through) == whole.getSlice(at: from, length: through - from))
            }
        }
        #expect(body.bytes(0..<whole.readableBytes + 1) == nil)
        #expect(body.bytes(-1..<1) == nil)
    }

    @Test(
        "a body in pieces becomes the same object as one buffer, whatever the file system takes",
        arguments: DirectWriter.Way.allCases)
    func written(way: DirectWriter.Way) throws {
        let directory = TemporaryDirectory()
        let (small, _) = sample()
        var large = ObjectBody()
        for index in 0..<40 { large.append(bytes(100_000 + index * 37, seed: UInt8(index))) }
        for (name, body) in [("small", small), ("large", large)] {
            let path = directory.path + "/" + name
            guard let file = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL) else { throw Errno(number: errno) }
            let isDone = DirectWriter(way: way).write(body, to: file)
            #expect(isDone)
            var read = ByteBuffer()
            guard let reading = OpenFile(path, O_RDONLY) else { throw Errno(number: errno) }
            read.writeWithUnsafeMutableBytes(minimumWritableBytes: body.sizeBytes + 10) {
                reading.read(into: $0, at: 0) ?? 0
            }
            #expect(read == body.joined)
        }
    }
}
