import DequeModule
import NIOCore

/// The newest batches of a volume's log, by LSN, up to a number of bytes: what those who read the tail and the upload take
/// without going to the disk.
struct LogTail {
    private struct Entry {
        var lsn: UInt64
        var batch: ByteBuffer
    }

    let bytesMax: Int
    private(set) var bytes = 0
    /// LSNs rise.
    private var entries: Deque<Entry> = []

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// `lsn` must be higher than all before it.
    mutating func append(_ batch: ByteBuffer, lsn: UInt64) {
        precondition(entries.last?.lsn ?? 0 < lsn, "LSN \(lsn) after \(entries.last?.lsn ?? 0)")
        entries.append(Entry(lsn: lsn, batch: batch))
        bytes += batch.readableBytes
        while bytes > bytesMax, let first = entries.popFirst() { bytes -= first.batch.readableBytes }
    }

    func batch(_ lsn: UInt64) -> ByteBuffer? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].lsn < lsn { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].lsn == lsn ? entries[low].batch : nil
    }

    /// What lies in objects now need not be kept for the upload; readers have caches of their own.
    mutating func drop(through lsn: UInt64) {
        while let first = entries.first, first.lsn <= lsn {
            entries.removeFirst()
            bytes -= first.batch.readableBytes
        }
    }
}
