import NIOCore

extension ObjectFooter {
    /// Bytes of footer and trailer together.
    var encodedTailBytes: Int {
        runs.reduce(8 + header.encodedBytes + 12 + ObjectFormat.trailerBytes + gapSectionBytes) { sum, run in
            sum + ObjectFormat.runBytesMin - 1 + run.topic.utf8.count + run.stamps.count * ObjectFormat.stampBytes
        }
    }

    private var gapSectionBytes: Int { gaps.isEmpty ? 0 : gaps.reduce(4) { $0 + $1.encodedBytes } }

    /// Appends footer and trailer: the last bytes of the object.
    func encodeTail(into bytes: inout ByteBuffer) {
        let start = bytes.writerIndex
        bytes.writeInteger(ObjectFormat.footerMagic)
        header.encode(into: &bytes)
        bytes.writeInteger(UInt64(objectSizeBytes))
        bytes.writeInteger(UInt32(runs.count))
        for run in runs { run.encode(into: &bytes) }
        if !gaps.isEmpty {
            bytes.writeInteger(UInt32(gaps.count))
            for gap in gaps { gap.encode(into: &bytes) }
        }
        bytes.writeInteger(UInt64(bytes.writerIndex - start))
        bytes.writeInteger(gaps.isEmpty ? ObjectFormat.versionWithoutGaps : ObjectFormat.version)
        bytes.writeInteger(UInt16(0))
        bytes.writeInteger(bytes.crc32c(at: start, length: bytes.writerIndex - start))
        bytes.writeInteger(ObjectFormat.trailerMagic)
    }

    /// Reads a footer whose checksum has been found right. Every field is checked all the same: a writer may be wrong.
    /// `version` is the trailer's.
    static func decode(
        _ bytes: ByteBuffer, objectSizeBytes: Int, version: UInt16
    ) throws(ObjectFormatError) -> ObjectFooter {
        let footerStart = objectSizeBytes - ObjectFormat.trailerBytes - bytes.readableBytes
        var rest = bytes
        guard rest.readInteger(as: UInt64.self) == ObjectFormat.footerMagic else { throw .notAnObject(part: "footer") }
        let header = try ObjectHeader.decode(from: &rest)
        var reader = FieldReader("footer", rest)
        let stated = try reader.integer("object size", in: 0...Int64.max)
        guard stated == objectSizeBytes else {
            throw .sizeMismatch(statedBytes: Int(stated), actualBytes: objectSizeBytes)
        }
        let count = try reader.count("run count", bytesEach: ObjectFormat.runBytesMin)
        var runs: [Run] = []
        runs.reserveCapacity(count)
        var lowerBound = header.encodedBytes
        for index in 0..<count {
            let run = try Run.decode(from: &reader)
            try run.checkPosition(index: index, in: lowerBound...max(lowerBound, footerStart))
            if let previous = runs.last, !run.follows(previous) { throw .runsOutOfOrder(index: index) }
            lowerBound = run.position + run.lengthBytes
            runs.append(run)
        }
        var footer = ObjectFooter(header: header, runs: runs, objectSizeBytes: objectSizeBytes)
        if version >= 2 {
            for _ in 0..<(try reader.count("gap count", bytesEach: ObjectGap.headBytes)) {
                footer.gaps.append(try ObjectGap.decode(from: &reader))
            }
            try footer.checkGaps()
        }
        try reader.finish()
        return footer
    }
}

extension Run {
    func encode(into bytes: inout ByteBuffer) {
        bytes.writeInteger(UInt16(topic.utf8.count))
        bytes.writeString(topic)
        bytes.writeInteger(partition)
        for number in [position, lengthBytes, recordCount, batchCount] { bytes.writeInteger(Int64(number)) }
        for number in [minTimestampMs, maxTimestampMs, firstLocalOffset] { bytes.writeInteger(number) }
        bytes.writeInteger(crc32c)
        bytes.writeInteger(UInt32(stamps.count))
        for stamp in stamps { stamp.encode(into: &bytes) }
    }

    static func decode(from reader: inout FieldReader) throws(ObjectFormatError) -> Run {
        let (topic, partition) = try reader.topicPartition()
        let position = try reader.integer("position", in: 0...Int64.max)
        let lengthBytes = try reader.integer("run length", in: Int64(ObjectFormat.batchBytesMin)...Int64.max)
        let recordCount = try reader.integer("record count", in: 1...Int64.max)
        let batchCount = try reader.integer("batch count", in: 1...(lengthBytes / Int64(ObjectFormat.batchBytesMin)))
        let minTimestampMs = try reader.integer(Int64.self)
        let maxTimestampMs = try reader.integer(Int64.self)
        let firstLocalOffset = try reader.integer("first local offset", in: 0...(Int64.max - recordCount))
        var run = Run(
            topic: topic, partition: partition, position: Int(position), lengthBytes: Int(lengthBytes),
            recordCount: Int(recordCount), batchCount: Int(batchCount), minTimestampMs: minTimestampMs,
            maxTimestampMs: maxTimestampMs, firstLocalOffset: firstLocalOffset, crc32c: try reader.integer())
        guard recordCount >= batchCount, recordCount / batchCount <= Int64(Int32.max) else {
            throw reader.invalid("record count", recordCount)
        }
        try run.decodeStamps(from: &reader)
        return run
    }

    private mutating func decodeStamps(from reader: inout FieldReader) throws(ObjectFormatError) {
        let count = try reader.count("stamp count", bytesEach: ObjectFormat.stampBytes)
        guard count <= batchCount else { throw reader.invalid("stamp count", count) }
        stamps.reserveCapacity(count)
        var nextIndex: Int64 = 0
        for _ in 0..<count {
            let stamp = try ProducerStamp.decode(from: &reader)
            guard stamp.recordIndex >= nextIndex, stamp.recordIndex <= Int64(recordCount) - Int64(stamp.recordCount)
            else { throw reader.invalid("record index", stamp.recordIndex) }
            nextIndex = stamp.recordIndex + Int64(stamp.recordCount)
            stamps.append(stamp)
        }
    }

    /// The run must lie between the end of the one before it and the footer.
    func checkPosition(index: Int, in bounds: ClosedRange<Int>) throws(ObjectFormatError) {
        let (end, overflow) = position.addingReportingOverflow(lengthBytes)
        guard !overflow, position >= bounds.lowerBound, end <= bounds.upperBound else {
            throw .runOutOfBounds(
                index: index, position: position, lengthBytes: lengthBytes, lowerBound: bounds.lowerBound,
                upperBound: bounds.upperBound)
        }
    }

    /// Sorted by topic in byte order, then partition, then local offsets, which must not overlap. (Swift's `<` would do
    /// for topics, which are ASCII, but bytes are what the format says.)
    func follows(_ previous: Run) -> Bool {
        if topic != previous.topic { return previous.topic.utf8.lexicographicallyPrecedes(topic.utf8) }
        if partition != previous.partition { return previous.partition < partition }
        return firstLocalOffset >= previous.endLocalOffset
    }
}

extension ProducerStamp {
    func encode(into bytes: inout ByteBuffer) {
        bytes.writeInteger(producerID)
        bytes.writeInteger(producerEpoch)
        bytes.writeInteger(firstSequence)
        bytes.writeInteger(recordCount)
        bytes.writeInteger(recordIndex)
        bytes.writeInteger(UInt8(isTransactional ? 1 : 0))
    }

    static func decode(from reader: inout FieldReader) throws(ObjectFormatError) -> ProducerStamp {
        let producerID = try reader.integer("producer id", in: 0...Int64.max)
        let producerEpoch = try reader.integer(Int16.self)
        guard producerEpoch >= 0 else { throw reader.invalid("producer epoch", producerEpoch) }
        let firstSequence = try reader.integer(Int32.self)
        guard firstSequence >= 0 else { throw reader.invalid("first sequence", firstSequence) }
        let recordCount = try reader.integer(Int32.self)
        guard recordCount > 0 else { throw reader.invalid("stamp record count", recordCount) }
        let recordIndex = try reader.integer("record index", in: 0...Int64.max)
        let flags = try reader.integer(UInt8.self)
        guard flags & ~1 == 0 else { throw reader.invalid("stamp flags", flags) }
        return ProducerStamp(
            producerID: producerID, producerEpoch: producerEpoch, firstSequence: firstSequence,
            recordCount: recordCount, recordIndex: recordIndex, isTransactional: flags == 1)
    }
}
