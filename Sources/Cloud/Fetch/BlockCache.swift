import NIOCore
import ObjectStore
import Synchronization

/// Bytes of objects: whole ones just written here, and aligned blocks read from the store.
///
/// Readers of the same block share one GET. An object holds many partitions, and who reads few of them wants little of a
/// block: the first GET brings what is known to be wanted of it (``expect(_:range:)``), the whole block if that is half of it or
/// if it is asked for again. So a block costs two GETs at most while it is remembered. Blocks and written objects have limits of
/// their own, so that reading old data does not push the newest out. Nothing in here has been verified.
final class BlockCache: Sendable {
    struct BlockID: Hashable, Sendable {
        let key: String
        let index: Int
    }

    /// A block, or a part of it: `bytes` begin at `start` of the object.
    private struct Block: Sendable {
        var start: Int
        var bytes: ByteBuffer

        /// Nil if not all of `range`, which counts from the start of the object, is in here.
        func slice(_ range: Range<Int>) -> ByteBuffer? {
            guard range.lowerBound >= start else { return nil }
            return bytes.getSlice(at: bytes.readerIndex + range.lowerBound - start, length: range.count)
        }
    }

    private struct State {
        var tail: ByteLRU<String, ObjectBody>
        var blocks: ByteLRU<BlockID, Block>
        /// What readers are about to ask for, from the start of the object.
        var expected = ByteLRU<BlockID, Range<Int>>(bytesMax: 4_096)
        var counts = CacheCounts()
    }

    private let store: any ObjectStore
    private let world: CloudWorld
    /// GETs read such blocks, aligned, or parts of them.
    let blockBytes: Int
    private let gate: AsyncGate
    private let flights = SingleFlight<BlockID, Result<Block, ObjectStoreError>>()
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

    /// Says that `range` will be asked for soon: one GET brings what several readers want of a block.
    func expect(_ key: String, range: Range<Int>) {
        state.withLock { state in
            for index in blockIndexes(range) {
                let id = BlockID(key: key, index: index)
                let part = range.clamped(to: blockRange(id, objectSizeBytes: .max))
                let union = state.expected.peek(id).map { $0.union(part) } ?? part
                state.expected.insert(union, for: id, bytes: 1)
            }
        }
    }

    /// The bytes of `range` if they can be had without waiting.
    func inMemory(_ key: String, range: Range<Int>) -> ByteBuffer? {
        let indexes = blockIndexes(range)
        if let body = state.withLock({ $0.tail.value(for: key) }) { return body.bytes(range) }
        guard indexes.count == 1 else { return nil }
        return state.withLock { $0.blocks.value(for: BlockID(key: key, index: indexes.lowerBound)) }?.slice(range)
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
            let id = BlockID(key: key, index: index)
            let part = range.clamped(to: blockRange(id, objectSizeBytes: objectSizeBytes))
            let bytes = try await bytes(of: id, objectSizeBytes: objectSizeBytes, part)
            if indexes.count == 1 { return bytes }
            joined.writeImmutableBuffer(bytes)
        }
        return joined
    }

    private func blockIndexes(_ range: Range<Int>) -> ClosedRange<Int> {
        range.lowerBound / blockBytes...max(range.lowerBound, range.upperBound - 1) / blockBytes
    }

    private func blockRange(_ id: BlockID, objectSizeBytes: Int) -> Range<Int> {
        let start = id.index * blockBytes
        return start..<min(start + blockBytes, objectSizeBytes)
    }

    private func bytes(
        of id: BlockID, objectSizeBytes: Int, _ part: Range<Int>
    ) async throws(ObjectStoreError) -> ByteBuffer {
        while true {
            if let hit = lookUp(id, part) { return hit }
            let block = try await flights.run(id) {
                await gate.pass { await load(id, wanted: part, objectSizeBytes: objectSizeBytes) }
            }.get()
            // Another's flight may have brought another part.
            if let bytes = block.slice(part) { return bytes }
        }
    }

    private func lookUp(_ id: BlockID, _ part: Range<Int>) -> ByteBuffer? {
        state.withLock { state in
            let hit = state.blocks.value(for: id)?.slice(part)
            if hit != nil { state.counts.blockHits += 1 }
            return hit
        }
    }

    /// What to read of a block for someone who wants `part`. Whoever was expected is served by it, and expected no more.
    private func stretch(_ id: BlockID, wanted part: Range<Int>, objectSizeBytes: Int) -> Range<Int> {
        let whole = blockRange(id, objectSizeBytes: objectSizeBytes)
        return state.withLock { state in
            let expected = state.expected.peek(id)
            state.expected.remove(id)
            let union = expected.map { $0.union(part) } ?? part
            let isKnownInPart = state.blocks.peek(id) != nil
            return isKnownInPart || union.count >= whole.count / 2 ? whole : union.clamped(to: whole)
        }
    }

    private func load(
        _ id: BlockID, wanted part: Range<Int>, objectSizeBytes: Int
    ) async -> Result<Block, ObjectStoreError> {
        if let hit = state.withLock({ $0.blocks.peek(id) }), hit.slice(part) != nil { return .success(hit) }
        let range = stretch(id, wanted: part, objectSizeBytes: objectSizeBytes)
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
            let block = Block(start: range.lowerBound, bytes: bytes)
            state.withLock { state in
                state.counts.gets += 1
                state.counts.getBytes += UInt64(bytes.readableBytes)
                state.blocks.insert(block, for: id, bytes: bytes.readableBytes)
            }
            return .success(block)
        } catch {
            state.withLock { $0.counts.failedGets += 1 }
            return .failure(error)
        }
    }
}

extension Range<Int> {
    /// The smallest range that holds both.
    fileprivate func union(_ other: Range<Int>) -> Range<Int> {
        Swift.min(lowerBound, other.lowerBound)..<Swift.max(upperBound, other.upperBound)
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
