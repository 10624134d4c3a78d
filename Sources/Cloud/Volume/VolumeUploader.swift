import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization
import WriteAheadLog

/// Brings what only a volume's log holds into objects, and lets the log free it.
///
/// Nothing is planned beforehand: the ledger names what is in a log. A stop at any instant leaves an object that nothing
/// names, which is swept, and the batches where they were.
final class VolumeUploader: Sendable {
    private let volume: Volume
    private let store: any ObjectStore
    private let blocks: BlockCache
    private let ledger: Ledger
    private let sequences: ObjectSequences
    private let nodeID: Int32
    private let nodeEpoch: Int64
    private let world: CloudWorld
    private let jobs: JobRunner
    private let logger: Logger
    private let abandoned: @Sendable (String) -> Void
    private enum Trimming {
        case idle
        case busy
        /// Something ended meanwhile: look once more.
        case busyAndAsked
    }
    private let trimming = Mutex(Trimming.idle)

    init(
        volume: Volume, store: any ObjectStore, blocks: BlockCache, ledger: Ledger, sequences: ObjectSequences,
        nodeID: Int32,
        nodeEpoch: Int64, world: CloudWorld, jobs: JobRunner, logger: Logger,
        abandoned: @escaping @Sendable (String) -> Void
    ) {
        self.volume = volume
        self.store = store
        self.blocks = blocks
        self.ledger = ledger
        self.sequences = sequences
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.world = world
        self.jobs = jobs
        self.logger = logger
        self.abandoned = abandoned
    }

    func start() {
        volume.onDue { [weak self] in self?.begin() }
    }

    private func begin() {
        while let upload = volume.takeUpload() {
            let runs = jobs.submit { await self.upload(upload.ticket, upload.items) }
            if !runs { return volume.finishUpload(upload.ticket, left: upload.items) }
        }
    }

    /// Everything that is there, one object after the other. False when something could not be moved.
    func uploadAll() async -> Bool {
        while let upload = volume.takeUpload(all: true) {
            guard await move(upload.items) else {
                volume.finishUpload(upload.ticket, left: upload.items)
                return false
            }
            volume.finishUpload(upload.ticket, left: stillInLog(upload.items))
        }
        await volume.trim()
        return true
    }

    private func upload(_ ticket: UInt64, _ items: [UploadQueue.Item]) async {
        let isDone = await move(items)
        if !isDone {
            volume.count { $0.failedUploads += 1 }
            try? await world.clock.sleep(for: .seconds(1))
        }
        volume.finishUpload(ticket, left: isDone ? stillInLog(items) : items)
        await trim()
    }

    private func trim() async {
        let mustStart = trimming.withLock { state in
            defer { state = state == .idle ? .busy : .busyAndAsked }
            return state == .idle
        }
        guard mustStart else { return }
        var isAsked = true
        while isAsked {
            await volume.trim()
            isAsked = trimming.withLock { state in
                defer { state = state == .busyAndAsked ? .busy : .idle }
                return state == .busyAndAsked
            }
        }
    }

    /// Whatever the ledger still finds in the log: its neighbours changed while the object was written.
    private func stillInLog(_ items: [UploadQueue.Item]) -> [UploadQueue.Item] {
        items.filter { item in
            let extent = ledger.view.extents(
                item.place.topicID, item.place.partition, from: item.lastOffset, maxBytes: 1, maxCount: 1
            ).first
            guard case .log(volume.id, item.lsn) = extent?.source else { return false }
            return true
        }
    }

    private func move(_ items: [UploadQueue.Item]) async -> Bool {
        let object: LogObject?
        do {
            object = try await make(items)
        } catch {
            logger.error("batches of the log cannot be read", metadata: ["error": "\(error)"])
            return false
        }
        guard let object else { return true }
        let uploader = ObjectUploader(
            store: store, ledger: ledger, world: world, putFailed: { self.volume.count { $0.failedUploads += 1 } },
            commitFailed: {})
        if let failure = await uploader.put(key: object.key, body: object.body) {
            logger.warning("an object of the log was given up", metadata: ["error": "\(failure)"])
            abandoned(object.key)
            return false
        }
        // Who reads the tail goes on in memory, under the object's name.
        blocks.keep(object.body, of: object.key)
        switch await uploader.commit(.rewriteExtents(object.rewrite)) {
        case .success:
            volume.count {
                $0.objects += 1
                $0.objectBytes += UInt64(object.body.sizeBytes)
            }
            return true
        case .failure(let code):
            logger.warning(
                "an object of the log was not committed", metadata: ["key": "\(object.key)", "code": "\(code)"])
            abandoned(object.key)
            return false
        }
    }

    private func make(_ items: [UploadQueue.Item]) async throws -> LogObject? {
        let sequence = sequences.next()
        let nowMs = world.wallMs()
        let (volume, view, nodeID, nodeEpoch) = (volume, ledger.view, nodeID, nodeEpoch)
        return try await onBlockingThread {
            Result {
                var fromDisk: [UInt64: ByteBuffer] = [:]
                return try LogObject(
                    items: items, volume: volume.id, view: view, nodeID: nodeID, nodeEpoch: nodeEpoch,
                    sequence: sequence, nowMs: nowMs
                ) { lsn in
                    if let batch = fromDisk.removeValue(forKey: lsn) ?? volume.inMemory(lsn) { return batch }
                    for stored in try volume.readLog(from: lsn, maxBytes: 4 << 20) {
                        fromDisk[stored.lsn] = stored.batch
                    }
                    guard let batch = fromDisk.removeValue(forKey: lsn) else { throw VolumeError.missing(lsn: lsn) }
                    return batch
                }
            }
        }.get()
    }
}

enum VolumeError: Error {
    /// The ledger names a batch that the log does not hold: the disk has lost it.
    case missing(lsn: UInt64)
}
