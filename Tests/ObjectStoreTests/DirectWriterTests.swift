import Glibc
import NIOCore
import Testing

@testable import ObjectStore

@Suite("Writes past the page cache")
struct DirectWriterTests {
    /// On a disk and in memory (tmpfs), whatever those can do.
    private static let places = ["/tmp", "/dev/shm"]
    private static let sizes = [
        0, 1, 4_095, DirectWriter.bodyBytesMin - 1, DirectWriter.bodyBytesMin, DirectWriter.bodyBytesMin + 1,
        DirectWriter.stagingBytes, DirectWriter.stagingBytes + 4_096, 3 * DirectWriter.stagingBytes - 4_095,
    ]

    @Test("a file holds exactly what was given, in every way and of every size", arguments: DirectWriter.Way.allCases)
    func contents(way: DirectWriter.Way) throws {
        for place in Self.places {
            let writer = DirectWriter(way: way)
            for size in Self.sizes {
                for shift in [0, 1, 16] {
                    let path = place + "/cairn-direct-" + String(UInt64.random(in: .min ... .max), radix: 16)
                    defer { unlink(path) }
                    let body = bytes(size + shift).getSlice(at: shift, length: size)!
                    guard let file = OpenFile(path, O_RDWR | O_CREAT | O_EXCL) else { throw Errno(number: errno) }
                    let isWritten = body.withUnsafeReadableBytes { writer.write($0, to: file) }
                    #expect(isWritten)
                    let sizeOnDisk = file.facts()?.st_size
                    #expect(sizeOnDisk == size)
                    var back = ByteBuffer()
                    back.writeWithUnsafeMutableBytes(minimumWritableBytes: max(1, size)) { space in
                        file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<size]), at: 0) ?? 0
                    }
                    #expect(back == body, "\(size) bytes at \(shift) in \(place)")
                }
            }
        }
    }

    @Test("a failure is told, not taken for a missing ability")
    func failure() throws {
        // Writing to it fails with ENOSPC.
        guard let full = OpenFile("/dev/full", O_WRONLY) else { throw Errno(number: errno) }
        let body = bytes(DirectWriter.bodyBytesMin * 2)
        for way in DirectWriter.Way.allCases {
            let isWritten = body.withUnsafeReadableBytes { DirectWriter(way: way).write($0, to: full) }
            #expect(!isWritten && errno == ENOSPC)
        }
    }
}
