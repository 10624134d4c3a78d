import KafkaProtocol
import NIOCore

/// The state of a lane as the first frame of a segment holds it, so that any suffix of segments recovers fully.
/// README, section 4. Integers are little-endian.
enum Checkpoint {
    /// Version 1 has no gaps at its end; it is still read.
    static let version: UInt32 = 2
    /// Bytes one partition or producer can take at most; for checking settings.
    static let partitionBytesMax = 2 + FrameHeader.topicBytesMax + 20
    static let producerBytesMax = 24 + 256
    static let openPlanBytes = 25
    /// Of each plan that knows of a clock, beside that.
    static let planClockBytes = 8 + PlanClock.payloadBytes
    /// Of each author of open plans.
    static let authorBytes = 16

    static func encode(_ state: LaneState) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeInteger(version, endianness: .little)
        out.writeInteger(state.nextLSN, endianness: .little)
        out.writeInteger(state.lastBatchLSN, endianness: .little)
        write(state.uploads, to: &out)
        out.writeInteger(UInt32(state.partitions.count), endianness: .little)
        for row in state.partitions.rows {
            out.writeInteger(UInt16(row.name.topic.utf8.count), endianness: .little)
            out.writeString(row.name.topic)
            out.writeInteger(row.name.partition, endianness: .little)
            out.writeInteger(row.nextOffset, endianness: .little)
            out.writeInteger(row.logStart, endianness: .little)
        }
        out.writeInteger(UInt32(state.producers.count), endianness: .little)
        // Sorted, so that the same state gives the same bytes.
        for (key, row) in state.producers.rows.sorted(by: { $0.key < $1.key }) {
            out.writeInteger(UInt32(key.partition), endianness: .little)
            out.writeInteger(key.producerID, endianness: .little)
            out.writeInteger(row.lastLSN, endianness: .little)
            let sequences = row.sequences.encoded()
            out.writeInteger(UInt32(sequences.readableBytes), endianness: .little)
            out.writeImmutableBuffer(sequences)
        }
        state.gaps.encode(into: &out)
        writeClocks(state.uploads, to: &out)
        writeAuthors(state.uploads, to: &out)
        return out
    }

    /// Nil when the bytes are no checkpoint of this version; its checksum was right, so that means another version.
    static func decode(
        _ bytes: ByteBuffer, producersMax: Int, partitionsMax: Int, gapBytesMax: Int = .max
    ) -> LaneState? {
        var bytes = bytes
        var state = LaneState(producersMax: producersMax, partitionsMax: partitionsMax, gapBytesMax: gapBytesMax)
        guard let found = bytes.readInteger(endianness: .little, as: UInt32.self), (1...version).contains(found),
            let nextLSN = bytes.readInteger(endianness: .little, as: UInt64.self),
            let lastBatchLSN = bytes.readInteger(endianness: .little, as: UInt64.self),
            let uploads = readUploads(&bytes)
        else { return nil }
        state.nextLSN = nextLSN
        state.lastBatchLSN = lastBatchLSN
        state.uploads = uploads
        guard readPartitions(&bytes, into: &state), readProducers(&bytes, into: &state) else { return nil }
        if found >= 2 {
            guard let gaps = GapLedger(reading: &bytes, limitBytes: gapBytesMax) else { return nil }
            state.gaps = gaps
        }
        readClocks(&bytes, into: &state.uploads)
        readAuthors(&bytes, into: &state.uploads)
        return state
    }

    private static func write(_ uploads: UploadLedger, to out: inout ByteBuffer) {
        out.writeInteger(uploads.uploadedThrough, endianness: .little)
        out.writeInteger(uploads.nextSequence, endianness: .little)
        out.writeInteger(UInt32(uploads.open.count), endianness: .little)
        for open in uploads.open {
            out.writeInteger(open.plan.sequence, endianness: .little)
            out.writeInteger(open.plan.firstLSN, endianness: .little)
            out.writeInteger(open.plan.lastLSN, endianness: .little)
            out.writeInteger(open.isUploaded ? 1 : 0, as: UInt8.self)
        }
    }

    private static func readUploads(_ bytes: inout ByteBuffer) -> UploadLedger? {
        guard let through = bytes.readInteger(endianness: .little, as: UInt64.self),
            let next = bytes.readInteger(endianness: .little, as: UInt64.self),
            let count = bytes.readInteger(endianness: .little, as: UInt32.self)
        else { return nil }
        var open: [UploadLedger.Open] = []
        for _ in 0..<count {
            guard let sequence = bytes.readInteger(endianness: .little, as: UInt64.self),
                let first = bytes.readInteger(endianness: .little, as: UInt64.self),
                let last = bytes.readInteger(endianness: .little, as: UInt64.self),
                let flag = bytes.readInteger(as: UInt8.self)
            else { return nil }
            let plan = UploadPlan(sequence: sequence, firstLSN: first, lastLSN: last)
            open.append(UploadLedger.Open(plan: plan, isUploaded: flag == 1))
        }
        return UploadLedger(nextSequence: next, uploadedThrough: through, open: open)
    }

    /// Behind everything that older programs read.
    private static func writeClocks(_ uploads: UploadLedger, to out: inout ByteBuffer) {
        let plans = uploads.open.map(\.plan).filter { $0.clock != nil }
        out.writeInteger(UInt32(plans.count), endianness: .little)
        for plan in plans {
            out.writeInteger(plan.sequence, endianness: .little)
            plan.clock?.write(to: &out)
        }
    }

    private static func readClocks(_ bytes: inout ByteBuffer, into uploads: inout UploadLedger) {
        let count = bytes.readInteger(endianness: .little, as: UInt32.self) ?? 0
        for _ in 0..<count {
            guard let sequence = bytes.readInteger(endianness: .little, as: UInt64.self),
                let clock = PlanClock(reading: &bytes)
            else { return }
            uploads.set(clock, ofPlan: sequence)
        }
    }

    /// Behind those: programs that know of clocks end there.
    private static func writeAuthors(_ uploads: UploadLedger, to out: inout ByteBuffer) {
        let rows = uploads.authors
        out.writeInteger(UInt32(rows.count), endianness: .little)
        for row in rows {
            out.writeInteger(row.firstSequence, endianness: .little)
            out.writeInteger(row.author, endianness: .little)
        }
    }

    private static func readAuthors(_ bytes: inout ByteBuffer, into uploads: inout UploadLedger) {
        let count = bytes.readInteger(endianness: .little, as: UInt32.self) ?? 0
        for _ in 0..<count {
            guard let sequence = bytes.readInteger(endianness: .little, as: UInt64.self),
                let author = bytes.readInteger(endianness: .little, as: UInt64.self)
            else { return }
            uploads.set(author: author, fromPlan: sequence)
        }
    }

    private static func readPartitions(_ bytes: inout ByteBuffer, into state: inout LaneState) -> Bool {
        guard let count = bytes.readInteger(endianness: .little, as: UInt32.self) else { return false }
        for _ in 0..<count {
            guard let length = bytes.readInteger(endianness: .little, as: UInt16.self),
                let topic = bytes.readString(length: Int(length)),
                let partition = bytes.readInteger(endianness: .little, as: Int32.self),
                let nextOffset = bytes.readInteger(endianness: .little, as: Int64.self),
                let logStart = bytes.readInteger(endianness: .little, as: Int64.self)
            else { return false }
            let place = state.partitions.place(making: PartitionName(topic: topic, partition: partition))
            state.partitions[place].nextOffset = nextOffset
            state.partitions[place].logStart = logStart
        }
        return true
    }

    private static func readProducers(_ bytes: inout ByteBuffer, into state: inout LaneState) -> Bool {
        guard let count = bytes.readInteger(endianness: .little, as: UInt32.self) else { return false }
        for _ in 0..<count {
            guard let partition = bytes.readInteger(endianness: .little, as: UInt32.self),
                partition < state.partitions.count,
                let producerID = bytes.readInteger(endianness: .little, as: Int64.self),
                let lastLSN = bytes.readInteger(endianness: .little, as: UInt64.self),
                let length = bytes.readInteger(endianness: .little, as: UInt32.self),
                let encoded = bytes.readSlice(length: Int(length)),
                let sequences = ProducerSequences.decoded(encoded)
            else { return false }
            let key = ProducerTable.Key(partition: Int(partition), producerID: producerID)
            state.producers[key] = ProducerTable.Row(sequences: sequences, lastLSN: lastLSN)
        }
        return true
    }
}

extension PlanClock {
    /// In a checkpoint, without the plan's sequence.
    static let payloadBytes = 25

    func write(to out: inout ByteBuffer) {
        out.writeInteger(bootEpoch, endianness: .little)
        out.writeInteger(reading == nil ? 0 : 1, as: UInt8.self)
        out.writeInteger(reading?.wallMs ?? 0, endianness: .little)
        out.writeInteger(reading?.monotonicNs ?? 0, endianness: .little)
    }

    init?(reading bytes: inout ByteBuffer) {
        guard let bootEpoch = bytes.readInteger(endianness: .little, as: UInt64.self),
            let isKnown = bytes.readInteger(as: UInt8.self),
            let wallMs = bytes.readInteger(endianness: .little, as: Int64.self),
            let monotonicNs = bytes.readInteger(endianness: .little, as: UInt64.self)
        else { return nil }
        self.bootEpoch = bootEpoch
        reading = isKnown == 1 ? ClockReading(wallMs: wallMs, monotonicNs: monotonicNs) : nil
    }

    /// As a plan's frame bears it, in fields that older programs write as zeros and do not read there.
    init?(_ frame: FrameHeader) {
        guard frame.hasGatewayTimes else { return nil }
        bootEpoch = UInt64(bitPattern: frame.baseOffset)
        let isKnown = ClockQuality(rawValue: frame.clockQuality)?.isBelieved ?? false
        reading = isKnown ? ClockReading(wallMs: frame.wallMs, monotonicNs: frame.monotonicNs) : nil
    }
}

extension FrameHeader {
    /// The frame of a plan at `lsn`.
    init(_ plan: UploadPlan, lsn: UInt64) {
        self.init(kind: .plan, lsn: lsn, payloadBytes: UploadPlan.frameBytes)
        author = plan.author
        guard let clock = plan.clock else { return }
        hasGatewayTimes = true
        baseOffset = Int64(bitPattern: clock.bootEpoch)
        guard let reading = clock.reading else { return }
        clockQuality = ClockQuality.synchronized.rawValue
        wallMs = reading.wallMs
        monotonicNs = reading.monotonicNs
    }

    /// ``UploadPlan/author``, in fields that older programs write as zeros and do not read there.
    var author: UInt64 {
        get { UInt64(recordCount) << 32 | UInt64(UInt32(bitPattern: partition)) }
        set {
            recordCount = UInt32(newValue >> 32)
            partition = Int32(bitPattern: UInt32(truncatingIfNeeded: newValue))
        }
    }
}

extension UploadPlan {
    static let frameBytes = 24

    var encoded: ByteBuffer {
        var out = ByteBuffer()
        out.writeInteger(sequence, endianness: .little)
        out.writeInteger(firstLSN, endianness: .little)
        out.writeInteger(lastLSN, endianness: .little)
        return out
    }

    init?(reading bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readableBytes == Self.frameBytes,
            let sequence = bytes.readInteger(endianness: .little, as: UInt64.self),
            let first = bytes.readInteger(endianness: .little, as: UInt64.self),
            let last = bytes.readInteger(endianness: .little, as: UInt64.self), first <= last
        else { return nil }
        self.init(sequence: sequence, firstLSN: first, lastLSN: last)
    }
}

/// Payload of an `uploaded` frame.
struct UploadedMark: Equatable {
    static let frameBytes = 16

    var sequence: UInt64
    var lastLSN: UInt64

    var encoded: ByteBuffer {
        var out = ByteBuffer()
        out.writeInteger(sequence, endianness: .little)
        out.writeInteger(lastLSN, endianness: .little)
        return out
    }

    init(sequence: UInt64, lastLSN: UInt64) {
        self.sequence = sequence
        self.lastLSN = lastLSN
    }

    init?(reading bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readableBytes == Self.frameBytes,
            let sequence = bytes.readInteger(endianness: .little, as: UInt64.self),
            let last = bytes.readInteger(endianness: .little, as: UInt64.self)
        else { return nil }
        self.init(sequence: sequence, lastLSN: last)
    }
}
