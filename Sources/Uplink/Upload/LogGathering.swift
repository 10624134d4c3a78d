import NIOCore
import WriteAheadLog

/// Batches of a lane that are to become one object.
struct GatheredRange: Sendable {
    var batches: [StoredBatch] = []
    var logBytes = 0
    /// Last LSN looked at, control frames included.
    var lastLSN: UInt64
    /// More is durable behind it.
    var isFull = false
    /// Ranges that the log has lost and no gap record tells of; the log raises the alarm.
    var lost: [LSNGap] = []

    var lostLSNs: UInt64 { lost.reduce(0) { $0 &+ $1.count } }
}

extension LaneSource {
    /// Durable batches from `first` on, until about `bytesMax` bytes (at least one batch) or `countMax` batches.
    func gather(from first: UInt64, bytesMax: Int, countMax: Int = 64 << 10) throws(WALError) -> GatheredRange {
        var range = GatheredRange(lastLSN: first - 1)
        let end = durableLSN
        while range.lastLSN < end {
            let leftBytes = bytesMax - range.logBytes
            guard leftBytes > 0, range.batches.count < countMax else { break }
            let slice = try read(
                from: range.lastLSN + 1, maxBytes: leftBytes, maxCount: countMax - range.batches.count)
            guard slice.nextLSN > range.lastLSN + 1 else { break }
            // The log returns one batch however large it is; it must not make an object far over its limit.
            if !range.batches.isEmpty, let only = slice.batches.first, slice.batches.count == 1,
                only.batch.readableBytes > leftBytes
            {
                break
            }
            range.take(slice)
        }
        range.isFull = range.lastLSN < end
        return range
    }

    /// The batches of a plan, as they were when it was made (short of what the log has lost since).
    func gather(plan: UploadPlan) throws(WALError) -> GatheredRange {
        var range = GatheredRange(lastLSN: plan.firstLSN - 1)
        while range.lastLSN < plan.lastLSN {
            var slice = try read(from: range.lastLSN + 1, maxBytes: 4 << 20, maxCount: 16 << 10)
            guard slice.nextLSN > range.lastLSN + 1 else { break }
            slice.batches.removeAll { $0.lsn > plan.lastLSN }
            slice.nextLSN = min(slice.nextLSN, plan.lastLSN + 1)
            slice.gaps = slice.gaps.filter { $0.firstLSN <= plan.lastLSN }
                .map { LSNGap(firstLSN: $0.firstLSN, lastLSN: min($0.lastLSN, plan.lastLSN)) }
            range.take(slice)
        }
        return range
    }
}

extension GatheredRange {
    fileprivate mutating func take(_ slice: LogSlice) {
        for batch in slice.batches { logBytes += batch.batch.readableBytes }
        batches += slice.batches
        lastLSN = slice.nextLSN - 1
        lost += slice.gaps
    }
}
