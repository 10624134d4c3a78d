import NIOCore
import Testing

@testable import KafkaListener

@Suite struct FrameAssemblerTests {
    /// Frames of the given sizes with bytes that differ from frame to frame.
    static func stream(_ sizes: [Int]) -> (bytes: ByteBuffer, frames: [ByteBuffer]) {
        var stream = ByteBuffer()
        var frames: [ByteBuffer] = []
        for (index, size) in sizes.enumerated() {
            let frame = ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) })
            stream.writeInteger(Int32(size))
            stream.writeImmutableBuffer(frame)
            frames.append(frame)
        }
        return (stream, frames)
    }

    /// Feeds `reads` and grants all room at once.
    static func frames(of reads: [ByteBuffer], limitBytes: Int = 1 << 20, sliceBytesMin: Int = 64) throws
        -> [ByteBuffer]
    {
        var assembler = FrameAssembler(limitBytes: limitBytes, sliceBytesMin: sliceBytesMin)
        var frames: [ByteBuffer] = []
        for read in reads {
            assembler.append(read)
            loop: while true {
                switch try assembler.next() {
                case .frame(let frame): frames.append(frame)
                case .needsRoom: assembler.roomGranted()
                case .needsMoreBytes: break loop
                }
            }
        }
        #expect(!assembler.isInsideFrame)
        return frames
    }

    @Test("frames come out whole whatever the sizes of the reads", arguments: [1, 2, 3, 4, 5, 7, 64, 100, 1000, 5000])
    func readsOfAnySize(readBytes: Int) throws {
        let (stream, expected) = Self.stream([8, 9, 63, 64, 65, 1000, 8, 300, 12])
        var rest = stream
        var reads: [ByteBuffer] = []
        while let read = rest.readSlice(length: min(readBytes, rest.readableBytes)), read.readableBytes > 0 {
            reads.append(read)
        }
        #expect(try Self.frames(of: reads) == expected)
    }

    @Test("a cut at every place of two frames loses nothing")
    func everyCut() throws {
        let (stream, expected) = Self.stream([20, 100])
        for cut in 0...stream.readableBytes {
            var rest = stream
            let head = rest.readSlice(length: cut) ?? ByteBuffer()
            #expect(try Self.frames(of: [head, rest]) == expected)
        }
    }

    @Test("a frame of several reads is allocated only after room was granted")
    func roomComesFirst() throws {
        let (stream, expected) = Self.stream([1000])
        var rest = stream
        var assembler = FrameAssembler(limitBytes: 1000, sliceBytesMin: 64)
        assembler.append(rest.readSlice(length: 504) ?? ByteBuffer())
        #expect(try assembler.next() == .needsRoom(sizeBytes: 1000))
        #expect(try assembler.next() == .needsRoom(sizeBytes: 1000))
        #expect(assembler.grantedBytes == 0)
        assembler.roomGranted()
        #expect(try assembler.next() == .needsMoreBytes)
        #expect(assembler.grantedBytes == 1000)
        assembler.append(rest)
        #expect(try assembler.next() == .frame(expected[0]))
        #expect(assembler.grantedBytes == 0)
        #expect(try assembler.next() == .needsMoreBytes)
    }

    @Test(
        "a length that no request can have ends the stream for good", arguments: [-1, Int32.min, 0, 7, 1001, Int32.max])
    func badLengths(length: Int32) throws {
        var assembler = FrameAssembler(limitBytes: 1000, sliceBytesMin: 64)
        var bytes = ByteBuffer()
        bytes.writeInteger(length)
        assembler.append(bytes)
        let expected: FrameError =
            length > 1000
            ? .tooLarge(sizeBytes: Int(length), limitBytes: 1000) : .lengthInvalid(Int(length))
        #expect(throws: expected) { try assembler.next() }
        assembler.append(Self.stream([8]).bytes)
        #expect(throws: expected) { try assembler.next() }
    }
}
