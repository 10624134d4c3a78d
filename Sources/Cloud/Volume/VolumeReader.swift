import KafkaProtocol
import Ledger
import NIOCore
import Synchronization
import WriteAheadLog

/// Batches of this node's volume for readers: from memory, or from the disk a stretch at a time.
final class VolumeReader: Sendable {
    private static let stretchBytes = 4 << 20
    private let volume: Volume
    private let blocks: Mutex<ByteLRU<UInt64, ByteBuffer>>
    private let flights = SingleFlight<UInt64, Result<ByteBuffer, ReadError>>()
    private let gate = AsyncGate(width: 2)

    init(volume: Volume, bytesMax: Int) {
        self.volume = volume
        blocks = Mutex(ByteLRU(bytesMax: bytesMax))
    }

    func inMemory(_ id: KafkaUUID, _ lsn: UInt64) -> ByteBuffer? {
        guard id == volume.id else { return nil }
        return volume.inMemory(lsn) ?? blocks.withLock { $0.value(for: lsn) }
    }

    func batch(_ id: KafkaUUID, _ lsn: UInt64) async throws(ReadError) -> ByteBuffer {
        if let hit = inMemory(id, lsn) { return hit }
        guard id == volume.id else { throw .log("volume \(id) is not on this node") }
        return try await flights.run(lsn) { await gate.pass { await load(lsn) } }.get()
    }

    private func load(_ lsn: UInt64) async -> Result<ByteBuffer, ReadError> {
        if let hit = inMemory(volume.id, lsn) { return .success(hit) }
        let volume = volume
        let read = await onBlockingThread { Result { try volume.readLog(from: lsn, maxBytes: Self.stretchBytes) } }
        switch read {
        case .failure(let error): return .failure(.log("\(error)"))
        case .success(let stored):
            blocks.withLock { blocks in
                for batch in stored { blocks.insert(batch.batch, for: batch.lsn, bytes: batch.batch.readableBytes) }
            }
            guard let first = stored.first, first.lsn == lsn else {
                return .failure(.log("LSN \(lsn) is not in the log any more"))
            }
            return .success(first.batch)
        }
    }
}
