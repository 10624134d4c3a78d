import NIOCore
import Testing

@testable import KafkaListener

@Suite("The size of socket reads") struct ReadSizesTests {
    @Test("grows while reads fill it, up to the limit")
    func grows() {
        var sizes = ReadSizes(readBytesMax: 256 << 10)
        #expect(sizes.nextBufferSize() == 4096)
        let grown = [100, 4096, 16 << 10, 64 << 10, 256 << 10].map { sizes.record(actualReadBytes: $0) }
        #expect(grown == [false, true, true, true, false])
        #expect(sizes.nextBufferSize() == 256 << 10)
        #expect(sizes.buffer(allocator: ByteBufferAllocator()).capacity == 256 << 10)
    }

    @Test("comes back when a connection has become quiet, not for one small read")
    func shrinks() {
        var sizes = ReadSizes(readBytesMax: 256 << 10)
        for _ in 0..<3 { _ = sizes.record(actualReadBytes: 256 << 10) }
        for _ in 0..<100 {
            for _ in 0..<10 { _ = sizes.record(actualReadBytes: 50) }
            _ = sizes.record(actualReadBytes: 200 << 10)
        }
        #expect(sizes.nextBufferSize() == 256 << 10)
        for _ in 0..<48 { _ = sizes.record(actualReadBytes: 50) }
        #expect(sizes.nextBufferSize() == 4096)
        for _ in 0..<48 { _ = sizes.record(actualReadBytes: 50) }
        #expect(sizes.nextBufferSize() == 4096)
    }

    @Test("is bounded by a limit below its beginning")
    func smallLimit() {
        var sizes = ReadSizes(readBytesMax: 1024)
        #expect(sizes.nextBufferSize() == 1024)
        let mayGrow = sizes.record(actualReadBytes: 1024)
        #expect(!mayGrow)
        for _ in 0..<40 { _ = sizes.record(actualReadBytes: 1) }
        #expect(sizes.nextBufferSize() == 1024)
    }

    @Test("NIO keeps one small buffer for a connection whose first read is held")
    func pool() {
        var pool = NIOPooledRecvBufferAllocator(capacity: 1, recvAllocator: ReadSizes(readBytesMax: 256 << 10))
        let allocator = ByteBufferAllocator()
        let first = pool.buffer(allocator: allocator) { _ in }.0
        pool.record(actualReadBytes: 4096)
        for _ in 0..<5 {
            let (read, _) = pool.buffer(allocator: allocator) { _ in }
            pool.record(actualReadBytes: read.capacity)
        }
        let last = pool.buffer(allocator: allocator) { _ in }.0
        #expect(last.capacity == 256 << 10)
        #expect(pool.count == 1)
        #expect(first.capacity == 4096)
    }
}
