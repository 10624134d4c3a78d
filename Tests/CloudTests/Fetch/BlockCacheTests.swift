import NIOCore
import ObjectStore
import Testing

@testable import Cloud

@Suite("Blocks of objects", .timeLimit(.minutes(1)))
struct BlockCacheTests {
    private static let key = "data/object"
    private static let blockBytes = 64 << 10
    private static let sizeBytes = 5 * blockBytes / 2

    /// A cache over an object whose bytes differ from place to place.
    private static func make() async throws -> (cache: BlockCache, bytes: [UInt8]) {
        let bytes = (0..<sizeBytes).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
        let store = MemoryStore()
        _ = try await store.put(key, ByteBuffer(bytes: bytes), ifAbsent: false)
        var configuration = FetchConfiguration()
        configuration.blockBytes = blockBytes
        return (BlockCache(store: store, configuration: configuration, world: CloudWorld()), bytes)
    }

    private static func read(_ cache: BlockCache, _ range: Range<Int>) async throws -> [UInt8] {
        let bytes = try await cache.bytes(of: key, objectSizeBytes: sizeBytes, range: range)
        return Array(bytes.readableBytesView)
    }

    @Test("who wants little of a block gets little; who comes for more of it gets the whole")
    func littleThenWhole() async throws {
        let (cache, bytes) = try await Self.make()
        #expect(try await Self.read(cache, 1_000..<2_000) == Array(bytes[1_000..<2_000]))
        #expect(cache.counts.getBytes == 1_000)
        #expect(
            cache.inMemory(Self.key, range: 1_500..<1_600).map { Array($0.readableBytesView) }
                == Array(bytes[1_500..<1_600]))
        #expect(cache.inMemory(Self.key, range: 1_500..<2_001) == nil)
        #expect(try await Self.read(cache, 1_900..<2_100) == Array(bytes[1_900..<2_100]))
        #expect(cache.counts.gets == 2)
        #expect(cache.counts.getBytes == UInt64(1_000 + Self.blockBytes))
        #expect(try await Self.read(cache, 0..<Self.blockBytes) == Array(bytes[0..<Self.blockBytes]))
        #expect(cache.counts.gets == 2)
    }

    @Test("one GET brings what several are expected to want, and no more than lies between")
    func expected() async throws {
        let (cache, bytes) = try await Self.make()
        for start in stride(from: 10_000, to: 30_000, by: 4_000) {
            cache.expect(Self.key, range: start..<start + 1_000)
        }
        for start in stride(from: 10_000, to: 30_000, by: 4_000) {
            #expect(try await Self.read(cache, start..<start + 1_000) == Array(bytes[start..<start + 1_000]))
        }
        #expect(cache.counts.gets == 1)
        #expect(cache.counts.getBytes == 17_000)
    }

    @Test("half of a block or more is read as the block, and a short last block as what there is")
    func wholeBlocks() async throws {
        let (cache, bytes) = try await Self.make()
        let across = Self.blockBytes / 2 - 1..<Self.blockBytes + 10
        #expect(try await Self.read(cache, across) == Array(bytes[across]))
        #expect(cache.counts.getBytes == UInt64(Self.blockBytes + 10))
        let last = 2 * Self.blockBytes..<Self.sizeBytes
        #expect(try await Self.read(cache, last) == Array(bytes[last]))
        #expect(cache.counts.getBytes == UInt64(Self.blockBytes + 10 + Self.blockBytes / 2))
    }

    @Test("any ranges, read at once by many, are the object's bytes, and a block costs two GETs at most")
    func anyRanges() async throws {
        var random = SplitMix(seed: 7)
        for _ in 0..<50 {
            let (cache, bytes) = try await Self.make()
            let ranges = (0..<30).map { _ in
                let start = Int(random.next() % UInt64(Self.sizeBytes - 1))
                return start..<min(Self.sizeBytes, start + 1 + Int(random.next() % 20_000))
            }
            for range in ranges.prefix(Int(random.next() % 30)) { cache.expect(Self.key, range: range) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for range in ranges {
                    group.addTask {
                        let got = try await Self.read(cache, range)
                        #expect(got == Array(bytes[range]))
                    }
                }
                try await group.waitForAll()
            }
            #expect(cache.counts.gets <= 2 * 3)
        }
    }
}
