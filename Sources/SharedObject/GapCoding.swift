import NIOCore

extension ObjectGap {
    static let headBytes = 1 + 1 + 8 + 8 + 4 + 3 * 8 + 4
    static let itemBytesMin = 2 + 1 + 4 + 7 * 8

    /// Bytes of the gap in a footer.
    public var encodedBytes: Int {
        items.reduce(Self.headBytes) { $0 + Self.itemBytesMin - 1 + $1.topic.utf8.count }
    }

    func encode(into bytes: inout ByteBuffer) {
        bytes.writeInteger(reason.rawValue)
        bytes.writeInteger(UInt8(0))
        bytes.writeInteger(firstLSN)
        bytes.writeInteger(lastLSN)
        bytes.writeInteger(rest.partitionCount)
        for number in [rest.recordCount, rest.batchCount, rest.sizeBytes] { bytes.writeInteger(number) }
        bytes.writeInteger(UInt32(items.count))
        for item in items {
            bytes.writeInteger(UInt16(item.topic.utf8.count))
            bytes.writeString(item.topic)
            bytes.writeInteger(item.partition)
            for number in [
                item.firstLocalOffset, item.lastLocalOffset, item.recordCount, item.batchCount, item.sizeBytes,
                item.firstWallMs, item.lastWallMs,
            ] { bytes.writeInteger(number) }
        }
    }

    static func decode(from reader: inout FieldReader) throws(ObjectFormatError) -> ObjectGap {
        let code = try reader.integer(UInt8.self)
        guard let reason = Reason(rawValue: code) else { throw reader.invalid("gap reason", code) }
        let reserved = try reader.integer(UInt8.self)
        guard reserved == 0 else { throw reader.invalid("reserved", reserved) }
        var gap = ObjectGap(reason: reason, firstLSN: try reader.integer(), lastLSN: try reader.integer())
        guard gap.firstLSN <= gap.lastLSN else { throw reader.invalid("last LSN of a gap", gap.lastLSN) }
        let partitionCount = try reader.integer(Int32.self)
        guard partitionCount >= 0 else { throw reader.invalid("partition count", partitionCount) }
        gap.rest = Rest(
            partitionCount: partitionCount, recordCount: try reader.integer("record count", in: countRange),
            batchCount: try reader.integer("batch count", in: countRange),
            sizeBytes: try reader.integer("bytes", in: countRange))
        let count = try reader.count("gap item count", bytesEach: itemBytesMin)
        gap.items.reserveCapacity(count)
        for index in 0..<count {
            let item = try Item.decode(from: &reader)
            if let previous = gap.items.last, !item.follows(previous) { throw .runsOutOfOrder(index: index) }
            gap.items.append(item)
        }
        return gap
    }

    /// Sums over gaps must not overflow.
    static let countRange: ClosedRange<Int64> = 0...(1 << 48)
}

extension ObjectGap.Item {
    static func decode(from reader: inout FieldReader) throws(ObjectFormatError) -> ObjectGap.Item {
        let (topic, partition) = try reader.topicPartition()
        let first = try reader.integer("first local offset", in: 0...(Int64.max - 1))
        let last = try reader.integer("last local offset", in: first...(Int64.max - 1))
        let most = min(last - first, ObjectGap.countRange.upperBound - 1) + 1
        let recordCount = try reader.integer("record count", in: 1...most)
        return ObjectGap.Item(
            topic: topic, partition: partition, firstLocalOffset: first, lastLocalOffset: last,
            recordCount: recordCount, batchCount: try reader.integer("batch count", in: 0...recordCount),
            sizeBytes: try reader.integer("bytes", in: ObjectGap.countRange),
            firstWallMs: try reader.integer(), lastWallMs: try reader.integer())
    }
}

extension ObjectFooter {
    /// Gaps lie in the object's range, one after the other, and name no offset that a run has.
    func checkGaps() throws(ObjectFormatError) {
        var next = header.firstLSN
        for gap in gaps {
            guard header.kind == .site, gap.firstLSN >= next, gap.lastLSN <= header.lastLSN else {
                throw .invalidField(
                    part: "footer", field: "first LSN of a gap", value: Int64(truncatingIfNeeded: gap.firstLSN))
            }
            next = gap.lastLSN &+ 1
            for item in gap.items where item.isDense {
                if let run = runs.first(where: { $0.overlaps(item) }) {
                    throw .invalidField(
                        part: "footer", field: "offset both in a run and a gap", value: run.firstLocalOffset)
                }
            }
        }
    }
}

extension Run {
    fileprivate func overlaps(_ item: ObjectGap.Item) -> Bool {
        firstLocalOffset <= item.lastLocalOffset && endLocalOffset > item.firstLocalOffset
            && partition == item.partition && topic == item.topic
    }
}
