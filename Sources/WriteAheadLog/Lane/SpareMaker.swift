import Synchronization

/// Zeroes segment files ahead of need, on the index thread.
final class SpareMaker: Sendable {
    private let disk: LocalDisk
    private let sizeBytes: Int
    private let queue: WriterQueue
    private let counter = Atomic<UInt64>(0)

    init(disk: LocalDisk, sizeBytes: Int, queue: WriterQueue) {
        self.disk = disk
        self.sizeBytes = sizeBytes
        self.queue = queue
    }

    /// Makes one and tells the writer. A failure is left to the writer, who will meet it when it needs the segment.
    func make() {
        let number = counter.add(1, ordering: .relaxed).newValue
        let name = SegmentName.newSpare(number)
        let temporary = SegmentName.unfinishedSpare(number)
        do throws(DiskError) {
            try? disk.remove(temporary)
            _ = try disk.create(temporary, sizeBytes: sizeBytes)
            try disk.rename(temporary, to: name)
        } catch {
            return
        }
        if !queue.post(.spare(name)) { try? disk.remove(name) }
    }
}
