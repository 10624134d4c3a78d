import KafkaProtocol
import NIOCore

/// Reads fields from bytes that may be anything: whatever they are, the result is a value or a typed error, and memory
/// stays within a small factor of the input.
struct LedgerReader: LedgerCoder {
    private let bytes: ByteBuffer
    private var index: Int
    private let end: Int
    private var topicIDs: [KafkaUUID] = []
    let version: UInt16

    init(_ bytes: ByteBuffer, version: UInt16 = LedgerFrame.version) {
        self.bytes = bytes
        self.version = version
        index = bytes.readerIndex
        end = bytes.writerIndex
    }

    var remainingBytes: Int { end - index }

    func expectEnd() throws(LedgerFormatError) {
        guard index == end else { throw .trailingBytes(end - index) }
    }

    mutating func readUnsigned() throws(LedgerFormatError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard index < end, let byte = bytes.getInteger(at: index, as: UInt8.self) else {
                throw .truncated(neededBytes: 1, presentBytes: 0)
            }
            index += 1
            let bits = UInt64(byte & 0x7f)
            guard shift < 63 || (shift == 63 && bits <= 1) else { throw .invalidValue(what: "varint of over 64 bits") }
            value |= bits << shift
            if byte < 0x80 {
                guard byte != 0 || shift == 0 else { throw .invalidValue(what: "varint with a needless byte") }
                return value
            }
            shift += 7
        }
    }

    mutating func readSigned() throws(LedgerFormatError) -> Int64 {
        let folded = try readUnsigned()
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    /// A count of things that take at least one byte each, so that it cannot promise more than is there.
    mutating func readCount() throws(LedgerFormatError) -> Int {
        let count = try readUnsigned()
        guard count <= UInt64(remainingBytes) else {
            throw .truncated(neededBytes: Int(clamping: count), presentBytes: remainingBytes)
        }
        return Int(count)
    }

    mutating func readText() throws(LedgerFormatError) -> String {
        let count = try readCount()
        guard let view = bytes.viewBytes(at: index, length: count),
            let text = String(validating: view, as: UTF8.self)
        else { throw .invalidValue(what: "text that is not UTF-8") }
        index += count
        return text
    }

    mutating func readTopicID() throws(LedgerFormatError) -> KafkaUUID {
        let number = try readUnsigned()
        if number > 0 {
            guard number <= UInt64(topicIDs.count) else {
                throw .invalidValue(what: "topic number that was not spelled out")
            }
            return topicIDs[Int(number) - 1]
        }
        guard let high = bytes.getInteger(at: index, as: UInt64.self),
            let low = bytes.getInteger(at: index + 8, as: UInt64.self), remainingBytes >= 16
        else { throw .truncated(neededBytes: 16, presentBytes: remainingBytes) }
        index += 16
        let id = KafkaUUID(high: high, low: low)
        topicIDs.append(id)
        return id
    }

    mutating func read<Value: LedgerCoded>(_ type: Value.Type) throws(LedgerFormatError) -> Value {
        var value = Value.blank
        try value.fields(&self)
        return value
    }

    mutating func unsigned(_ value: inout UInt64) throws(LedgerFormatError) { value = try readUnsigned() }

    mutating func text(_ value: inout String) throws(LedgerFormatError) { value = try readText() }

    mutating func topicID(_ value: inout KafkaUUID) throws(LedgerFormatError) { value = try readTopicID() }

    mutating func bytes(_ value: inout ByteBuffer) throws(LedgerFormatError) {
        let count = try readCount()
        guard let slice = bytes.getSlice(at: index, length: count) else {
            throw .truncated(neededBytes: count, presentBytes: remainingBytes)
        }
        index += count
        value = slice
    }

    mutating func list<Element>(
        _ values: inout [Element], empty: Element,
        _ each: (inout Element, inout LedgerReader) throws(LedgerFormatError) -> Void
    ) throws(LedgerFormatError) {
        let count = try readCount()
        values.removeAll()
        values.reserveCapacity(min(count, 4_096))
        for _ in 0..<count {
            var element = empty
            try each(&element, &self)
            values.append(element)
        }
    }
}
