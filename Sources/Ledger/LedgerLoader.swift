import NIOCore

/// Makes a state from a log: the latest snapshot and the blobs after it.
struct LedgerLoader {
    let log: any FencedLog
    private(set) var state: LedgerState
    private(set) var snapshotSequence: UInt64 = 0
    private(set) var snapshotBytes = 0
    private(set) var blobsReplayed = 0
    private(set) var bytesReplayed = 0
    private(set) var newestEpoch: UInt64 = 0
    private(set) var changed: Set<TopicPartition> = []

    init(log: any FencedLog, state: LedgerState = LedgerState()) {
        self.log = log
        self.state = state
    }

    mutating func load() throws(LedgerError) {
        let snapshot: LogSnapshot?
        do { snapshot = try log.readSnapshot() } catch { throw .log(error) }
        if let snapshot {
            var whole = ByteBuffer()
            whole.reserveCapacity(snapshot.pieces.reduce(0) { $0 + $1.readableBytes })
            for piece in snapshot.pieces { whole.writeImmutableBuffer(piece) }
            do { state = try LedgerState(decodingSnapshot: whole) } catch { throw .corrupt(error) }
            guard state.sequence == snapshot.sequence else {
                throw .corrupt(.sequence(expected: snapshot.sequence, found: state.sequence))
            }
            snapshotSequence = snapshot.sequence
            snapshotBytes = whole.readableBytes
        }
        try readTail()
    }

    /// Applies every blob after the state's last one, in order.
    mutating func readTail() throws(LedgerError) {
        while true {
            let page: [LogBlob]
            do { page = try log.read(from: state.sequence + 1, bytesMax: Sequencer.readBytes) } catch {
                throw .log(error)
            }
            guard !page.isEmpty else { return }
            for stored in page { try apply(stored) }
        }
    }

    private mutating func apply(_ stored: LogBlob) throws(LedgerError) {
        guard stored.sequence == state.sequence + 1 else {
            throw .corrupt(.sequence(expected: state.sequence + 1, found: stored.sequence))
        }
        let batch: LedgerBatch
        do { batch = try LedgerBatch(stored) } catch { throw .corrupt(error) }
        for record in batch.records {
            state.apply(record)
            record.note(into: &changed)
        }
        state.sequence = stored.sequence
        newestEpoch = max(newestEpoch, stored.epoch)
        blobsReplayed += 1
        bytesReplayed += stored.blob.readableBytes
    }
}
