import NIOCore

// Payload of a gap frame, and of the gaps in a checkpoint. README, section 9. Integers are little-endian.

extension PartitionGap {
    var encodedBytes: Int { 2 + topic.utf8.count + 4 + 7 * 8 }

    fileprivate func encode(into out: inout ByteBuffer) {
        out.writeInteger(UInt16(topic.utf8.count), endianness: .little)
        out.writeString(topic)
        out.writeInteger(partition, endianness: .little)
        for number in [firstOffset, lastOffset, recordCount, batchCount, sizeBytes, firstWallMs, lastWallMs] {
            out.writeInteger(number, endianness: .little)
        }
    }

    fileprivate init?(reading bytes: inout ByteBuffer) {
        guard let length = bytes.readInteger(endianness: .little, as: UInt16.self),
            let topic = bytes.readString(length: Int(length)),
            let partition = bytes.readInteger(endianness: .little, as: Int32.self)
        else { return nil }
        var numbers: [Int64] = []
        for _ in 0..<7 {
            guard let number = bytes.readInteger(endianness: .little, as: Int64.self) else { return nil }
            numbers.append(number)
        }
        self.init(
            topic: topic, partition: partition, firstOffset: numbers[0], lastOffset: numbers[1],
            recordCount: numbers[2], batchCount: numbers[3], sizeBytes: numbers[4], firstWallMs: numbers[5],
            lastWallMs: numbers[6])
    }
}

extension GapTotals {
    static let encodedBytes = 24

    func encode(into out: inout ByteBuffer) {
        for number in [batches, records, bytes] { out.writeInteger(number, endianness: .little) }
    }

    init?(reading bytes: inout ByteBuffer) {
        guard let batches = bytes.readInteger(endianness: .little, as: Int64.self),
            let records = bytes.readInteger(endianness: .little, as: Int64.self),
            let size = bytes.readInteger(endianness: .little, as: Int64.self)
        else { return nil }
        self.init(batches: batches, records: records, bytes: size)
    }
}

extension GapRecord {
    static let headBytes = 1 + 8 + 8 + 4 + GapTotals.encodedBytes + 4

    var encodedBytes: Int { partitions.reduce(Self.headBytes) { $0 + $1.encodedBytes } }

    var encoded: ByteBuffer {
        var out = ByteBuffer()
        encode(into: &out)
        return out
    }

    func encode(into out: inout ByteBuffer) {
        out.writeInteger(reason.rawValue)
        out.writeInteger(firstLSN, endianness: .little)
        out.writeInteger(lastLSN, endianness: .little)
        out.writeInteger(rest.partitionCount, endianness: .little)
        rest.totals.encode(into: &out)
        out.writeInteger(UInt32(partitions.count), endianness: .little)
        for gap in partitions { gap.encode(into: &out) }
    }

    /// Nil when the bytes are no such record.
    init?(reading bytes: inout ByteBuffer) {
        guard let code = bytes.readInteger(as: UInt8.self), let reason = GapReason(rawValue: code),
            let first = bytes.readInteger(endianness: .little, as: UInt64.self),
            let last = bytes.readInteger(endianness: .little, as: UInt64.self), first <= last,
            let restCount = bytes.readInteger(endianness: .little, as: Int32.self),
            let restTotals = GapTotals(reading: &bytes),
            let count = bytes.readInteger(endianness: .little, as: UInt32.self)
        else { return nil }
        self.init(reason: reason, firstLSN: first, lastLSN: last)
        rest.partitionCount = restCount
        rest.totals = restTotals
        for _ in 0..<count {
            guard let gap = PartitionGap(reading: &bytes) else { return nil }
            partitions.append(gap)
        }
    }
}

extension GapLedger {
    /// Bytes that `encode` takes at most, with records of `limitBytes` in all.
    static func encodedBytesMax(limitBytes: Int) -> Int {
        limitBytes + settledMax * 16 + GapReason.allCases.count * (1 + GapTotals.encodedBytes) + 12
    }

    func encode(into out: inout ByteBuffer) {
        out.writeInteger(UInt32(pending.count), endianness: .little)
        for record in pending { record.encode(into: &out) }
        out.writeInteger(UInt32(settled.count), endianness: .little)
        for gap in settled {
            out.writeInteger(gap.firstLSN, endianness: .little)
            out.writeInteger(gap.lastLSN, endianness: .little)
        }
        out.writeInteger(UInt32(totals.count), endianness: .little)
        for (reason, sums) in totals.sorted(by: { $0.key < $1.key }) {
            out.writeInteger(reason.rawValue)
            sums.encode(into: &out)
        }
    }

    /// Nil when the bytes are no such ledger.
    init?(reading bytes: inout ByteBuffer, limitBytes: Int) {
        self.init(limitBytes: limitBytes)
        guard let pendingCount = bytes.readInteger(endianness: .little, as: UInt32.self) else { return nil }
        for _ in 0..<pendingCount {
            guard let record = GapRecord(reading: &bytes) else { return nil }
            pending.append(record)
        }
        guard let settledCount = bytes.readInteger(endianness: .little, as: UInt32.self) else { return nil }
        for _ in 0..<settledCount {
            guard let first = bytes.readInteger(endianness: .little, as: UInt64.self),
                let last = bytes.readInteger(endianness: .little, as: UInt64.self), first <= last
            else { return nil }
            settled.append(LSNGap(firstLSN: first, lastLSN: last))
        }
        guard let reasonCount = bytes.readInteger(endianness: .little, as: UInt32.self) else { return nil }
        for _ in 0..<reasonCount {
            guard let code = bytes.readInteger(as: UInt8.self), let reason = GapReason(rawValue: code),
                let sums = GapTotals(reading: &bytes)
            else { return nil }
            totals[reason] = sums
        }
    }
}
