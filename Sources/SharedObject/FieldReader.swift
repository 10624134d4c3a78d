import NIOCore

/// Reads big-endian fields of one named part; what is missing or out of range becomes an ``ObjectFormatError``.
struct FieldReader {
    let part: String
    private(set) var bytes: ByteBuffer

    init(_ part: String, _ bytes: ByteBuffer) {
        self.part = part
        self.bytes = bytes
    }

    var remainingBytes: Int { bytes.readableBytes }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(ObjectFormatError) -> T {
        guard let value = bytes.readInteger(as: T.self) else { throw truncated(MemoryLayout<T>.size) }
        return value
    }

    /// A 64-bit field that must lie in `range`.
    mutating func integer(_ field: String, in range: ClosedRange<Int64>) throws(ObjectFormatError) -> Int64 {
        let value = try integer(Int64.self)
        guard range.contains(value) else { throw invalid(field, value) }
        return value
    }

    /// A count of things that take at least `bytesEach`, so that nothing is reserved for more than can follow.
    mutating func count(_ field: String, bytesEach: Int) throws(ObjectFormatError) -> Int {
        let value = try integer(UInt32.self)
        guard Int(value) <= remainingBytes / bytesEach else { throw invalid(field, Int64(value)) }
        return Int(value)
    }

    mutating func text(_ field: String, lengthBytes: Int) throws(ObjectFormatError) -> String {
        guard let slice = bytes.readSlice(length: lengthBytes) else { throw truncated(lengthBytes) }
        guard let text = String(validating: slice.readableBytesView, as: UTF8.self) else {
            throw .invalidText(part: part, field: field, lengthBytes: lengthBytes)
        }
        return text
    }

    /// The topic and the partition that a run and an item of a gap begin with.
    mutating func topicPartition() throws(ObjectFormatError) -> (topic: String, partition: Int32) {
        let topicBytes = try integer(UInt16.self)
        guard (1...ObjectFormat.topicBytesMax).contains(Int(topicBytes)) else {
            throw invalid("topic length", topicBytes)
        }
        let topic = try text("topic", lengthBytes: Int(topicBytes))
        guard ObjectFormat.isTopic(topic) else {
            throw .invalidText(part: part, field: "topic", lengthBytes: Int(topicBytes))
        }
        let partition = try integer(Int32.self)
        guard partition >= 0 else { throw invalid("partition", partition) }
        return (topic, partition)
    }

    func invalid(_ field: String, _ value: some BinaryInteger) -> ObjectFormatError {
        .invalidField(part: part, field: field, value: Int64(truncatingIfNeeded: value))
    }

    /// Nothing may be left over.
    func finish() throws(ObjectFormatError) {
        guard remainingBytes == 0 else { throw invalid("unread bytes", remainingBytes) }
    }

    private func truncated(_ neededBytes: Int) -> ObjectFormatError {
        .truncated(part: part, neededBytes: neededBytes, availableBytes: remainingBytes)
    }
}
