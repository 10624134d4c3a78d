import KafkaProtocol
import NIOCore
import WriteAheadLog

/// What becomes of the times in an object that a clock gave which nobody believed. A function of the plan and the batch alone,
/// so that the object comes out the same however often it is built.
///
/// - Only batches whose times all come from the gateway's clock (`StoredBatch.hasGatewayTimes`) are touched.
/// - Where the clock became known later in the same run of the machine, all times of a batch move by what its reading was
///   wrong. Differences inside a batch stay: they were counted by the monotonic clock.
/// - An error that a clock may have drifted to since, left to itself, is no such error: nobody knows when it began.
/// - Where it never did, records of a clock that could not be right get the header ``markName``. A clock that runs freely, set
///   once and never found wrong, is left alone.
struct TimeRepair {
    /// Name and value of the record header that says: this time is no time.
    static let markName = "cairn-clock"
    static let markValue = "unknown"

    /// Slewing is no error worth a new checksum.
    private static let toleranceMs = UInt64(ClockReading.stepMs)
    /// What a clock without a source may gain or lose: 100 ppm, twice what crystals of boards are sold with. What it was wrong by
    /// in the end is no measure of how wrong it was when the batch came.
    private static let driftPart: UInt64 = 10_000

    let clock: PlanClock?
    private(set) var counts = RepairCounts()

    init(_ clock: PlanClock?) { self.clock = clock }

    /// The batch with its times as the plan's clock has them.
    mutating func apply(to batch: StoredBatch) -> StoredBatch {
        guard let clock, batch.doubtfulEpoch == clock.bootEpoch else { return batch }
        if let reading = clock.reading { return moved(batch, to: reading) }
        return batch.clockQuality == .unknown ? marked(batch) : batch
    }

    private mutating func moved(_ batch: StoredBatch, to reading: ClockReading) -> StoredBatch {
        let byMs = reading.offsetMs &- batch.reading.offsetMs
        let (first, last) = (
            min(reading.monotonicNs, batch.monotonicNs), max(reading.monotonicNs, batch.monotonicNs)
        )
        let driftMs = (last - first) / 1_000_000 / Self.driftPart
        guard byMs.magnitude > Self.toleranceMs + driftMs, let bytes = RecordBatch.moved(batch.batch, byMs: byMs)
        else { return batch }
        counts.moved += UInt64(batch.header.recordCount)
        return batch.replacing(bytes, wallMs: batch.wallMs &+ byMs)
    }

    private mutating func marked(_ batch: StoredBatch) -> StoredBatch {
        let mark = RecordHeader(key: Self.markName, value: ByteBuffer(string: Self.markValue))
        guard batch.header.attributes == 0, batch.header.producerID < 0,
            var reader = try? RecordBatchReader(batch.batch), let records = try? reader.readAll(), !records.isEmpty
        else { return batch }
        var builder = RecordBatchBuilder(capacityBytes: batch.batch.readableBytes + records.count * 24)
        for var record in records {
            record.headers.append(mark)
            builder.append(record)
        }
        counts.marked += UInt64(records.count)
        return batch.replacing(builder.finish(), wallMs: batch.wallMs)
    }
}

/// Records of objects, by what was done about their times.
struct RepairCounts: Sendable, Equatable {
    var moved: UInt64 = 0
    var marked: UInt64 = 0
}

extension StoredBatch {
    /// The start of the log by whose clock the batch was stamped while nobody believed it; nil for any other batch.
    var doubtfulEpoch: UInt64? { hasGatewayTimes && !clockQuality.isBelieved ? bootEpoch : nil }

    var reading: ClockReading { ClockReading(wallMs: wallMs, monotonicNs: monotonicNs) }

    fileprivate func replacing(_ bytes: ByteBuffer, wallMs: Int64) -> StoredBatch {
        guard let header = try? RecordBatchHeader(reading: bytes, at: bytes.readerIndex) else { return self }
        var copy = self
        copy.batch = bytes
        copy.header = header
        copy.wallMs = wallMs
        return copy
    }
}

extension GatheredRange {
    /// What a plan of this range has to keep about clocks. A plan knows one clock, that of one start: the range ends before
    /// the first batch that needs another.
    ///
    /// - Parameter believed: a believed reading of the clock of a start of the log; nil where the time was never known.
    mutating func settleClock(_ believed: (UInt64) -> ClockReading?) -> PlanClock? {
        var clock: PlanClock?
        var asked: (epoch: UInt64, reading: ClockReading?)?
        for (place, batch) in batches.enumerated() {
            guard let epoch = batch.doubtfulEpoch, epoch != clock?.bootEpoch else { continue }
            let reading = asked?.epoch == epoch ? asked?.reading : believed(epoch)
            asked = (epoch, reading)
            // A clock that runs freely and that nobody can correct needs nothing.
            guard reading != nil || batch.clockQuality == .unknown else { continue }
            guard clock == nil else {
                end(before: place)
                break
            }
            clock = PlanClock(bootEpoch: epoch, reading: reading)
        }
        return clock
    }

    private mutating func end(before place: Int) {
        lastLSN = batches[place].lsn - 1
        batches.removeSubrange(place...)
        logBytes = batches.reduce(0) { $0 + $1.batch.readableBytes }
        lost.removeAll { $0.firstLSN > lastLSN }
        isFull = true
    }
}
