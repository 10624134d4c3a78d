import NIOCore
import ObjectStore
import Synchronization

/// Bytes of objects: whole ones just written here, and aligned blocks read from the store.
///
/// Readers of the same block share one GET. The two kinds have limits of their own, so that reading old data does not
/// push the newest out. Nothing in here has been verified.
final class BlockCache: Sendable {
    struct BlockID: Hashable, Sendable {
        let key: String
        let index: Int
    }

    private struct State {
        var tail: ByteLRU<String, ObjectBody>
        var blocks: ByteLRU<BlockID, ByteBuffer>
        var counts = CacheCounts()
    }

    private let store: any ObjectStore
    private let world: CloudWorld
    private let blockBytes: Int
    private let gate: AsyncGate
    private let flights = SingleFlight<BlockID, Result<ByteBuffer, ObjectStoreError>>()
    private let state: Mutex<State>
    /// Few and quick: who waits is a consumer with a deadline of its own.
    private let retry = RetryPolicy(attemptsMax: 4, base: .milliseconds(50), cap: .seconds(1))

    init(store: any ObjectStore, configuration: FetchConfiguration, world: CloudWorld) {
        self.store = store
        self.world = world
        blockBytes = max(64 << 10, configuration.blockBytes)
        gate = AsyncGate(width: configuration.readsMax)
        state = Mutex(
            State(
                tail: ByteLRU(bytesMax: configuration.tailBytesMax),
                blocks: ByteLRU(bytesMax: configuration.blockBytesMax)))
    }

    var counts: CacheCounts {
        state.withLock { state in
            var counts = state.counts
            counts.tailBytes = state.tail.bytes
            counts.blockBytes = state.blocks.bytes
            return counts
        }
    }

    /// Remembers an object that was just written or read whole.
    func keep(_ body: ObjectBody, of key: String) {
        state.withLock { $0.tail.insert(body, for: key, bytes: body.sizeBytes) }
    }

    /// Forgets what is known of `range`: it turned out not to be what was written.
    func forget(_ key: String, range: Range<Int>) {
        state.withLock { state in
            state.tail.remove(key)
            for index in blockIndexes(range) { state.blocks.remove(BlockID(key: key, index: index)) }
        }
    }

    /// The bytes of `range` if they can be had without waiting.
    func inMemory(_ key: String, range: Range<Int>) -> ByteBuffer? {
        let indexes = blockIndexes(range)
        if let body = state.withLock({ $0.tail.value(for: key) }) { return body.bytes(range) }
        return state.withLock { state in
            guard indexes.count == 1,
                let block = state.blocks.value(for: BlockID(key: key, index: indexes.lowerBound))
            else { return nil }
            let start = range.lowerBound - indexes.lowerBound * blockBytes
            return block.getSlice(at: block.readerIndex + start, length: range.count)
        }
    }

    /// Exactly the bytes of `range`, which lies inside the object.
    func bytes(
        of key: String, objectSizeBytes: Int, range: Range<Int>
    ) async throws(ObjectStoreError) -> ByteBuffer {
        if let body = state.withLock({ $0.tail.value(for: key) }) {
            if let bytes = body.bytes(range) { return bytes }
            throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "\(range) of \(body.sizeBytes)")
        }
        guard !range.isEmpty, range.upperBound <= objectSizeBytes else {
            throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "\(range) of \(objectSizeBytes)")
        }
        let indexes = blockIndexes(range)
        var joined = ByteBuffer()
        for index in indexes {
            let block = try await block(BlockID(key: key, index: index), objectSizeBytes: objectSizeBytes)
            let start = index * blockBytes
            let part = max(range.lowerBound, start) - start..<min(range.upperBound, start + blockBytes) - start
            let bytes = try slice(block, part, key)
            if indexes.count == 1 { return bytes }
            joined.writeImmutableBuffer(bytes)
        }
        return joined
    }

    private func blockIndexes(_ range: Range<Int>) -> ClosedRange<Int> {
        range.lowerBound / blockBytes...max(range.lowerBound, range.upperBound - 1) / blockBytes
    }

    private func slice(_ bytes: ByteBuffer, _ range: Range<Int>, _ key: String) throws(ObjectStoreError) -> ByteBuffer {
        guard let slice = bytes.getSlice(at: bytes.readerIndex + range.lowerBound, length: range.count) else {
            throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "\(range) of \(bytes.readableBytes)")
        }
        return slice
    }

    private func block(_ id: BlockID, objectSizeBytes: Int) async throws(ObjectStoreError) -> ByteBuffer {
        if let hit = lookUp(id) { return hit }
        let result = await flights.run(id) {
            if let hit = lookUp(id) { return .success(hit) }
            return await gate.pass { await load(id, objectSizeBytes: objectSizeBytes) }
        }
        return try result.get()
    }

    private func lookUp(_ id: BlockID) -> ByteBuffer? {
        state.withLock { state in
            let hit = state.blocks.value(for: id)
            if hit != nil { state.counts.blockHits += 1 }
            return hit
        }
    }

    private func load(_ id: BlockID, objectSizeBytes: Int) async -> Result<ByteBuffer, ObjectStoreError> {
        let start = id.index * blockBytes
        let range = start..<min(start + blockBytes, objectSizeBytes)
        var random = WorldRandom(random: world.random)
        do throws(ObjectStoreError) {
            let bytes = try await withRetry(retry, clock: world.clock, using: &random) {
                (_: Int) async throws(ObjectStoreError) in
                let bytes = try await store.get(id.key, range: range)
                guard bytes.readableBytes == range.count else {
                    throw ObjectStoreError(
                        .get, key: id.key, .corrupt("\(bytes.readableBytes) of \(range.count) bytes"))
                }
                return bytes
            }
            state.withLock { state in
                state.counts.gets += 1
                state.counts.getBytes += UInt64(bytes.readableBytes)
                state.blocks.insert(bytes, for: id, bytes: bytes.readableBytes)
            }
            return .success(bytes)
        } catch {
            state.withLock { $0.counts.failedGets += 1 }
            return .failure(error)
        }
    }
}

/// What the caches hold and have done.
public struct CacheCounts: Sendable, Equatable {
    public var tailBytes = 0
    public var blockBytes = 0
    public var pieceBytes = 0
    public var blockHits: UInt64 = 0
    public var pieceHits: UInt64 = 0
    public var pieceMisses: UInt64 = 0
    /// GETs that succeeded, and their bytes.
    public var gets: UInt64 = 0
    public var getBytes: UInt64 = 0
    /// GETs that failed for good.
    public var failedGets: UInt64 = 0
    /// Stored bytes that were not what had been written.
    public var corruptReads: UInt64 = 0

    public init() {}
}
