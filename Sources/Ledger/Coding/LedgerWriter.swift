import KafkaProtocol
import NIOCore

/// Writes fields; never fails, though its calls may throw by their type.
struct LedgerWriter: LedgerCoder {
    private(set) var bytes: [UInt8] = []
    var version: UInt16 { LedgerFrame.version }
    /// Topic ids written so far: each one is spelled out once and then named by number.
    private var topicNumbers: [KafkaUUID: UInt64] = [:]

    init(reservedBytes: Int = 0) {
        bytes.reserveCapacity(reservedBytes)
    }

    mutating func write(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func write(signed value: Int64) {
        write(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    mutating func write(text value: String) {
        var copy = value
        copy.withUTF8 { utf8 in
            write(UInt64(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    mutating func write(topicID id: KafkaUUID) {
        if let number = topicNumbers[id] {
            write(number)
            return
        }
        topicNumbers[id] = UInt64(topicNumbers.count + 1)
        write(0 as UInt64)
        write(fixed: id.high)
        write(fixed: id.low)
    }

    mutating func write(_ value: some LedgerCoded) {
        var copy = value
        do throws(LedgerFormatError) { try copy.fields(&self) } catch {
            preconditionFailure("writing failed: \(error)")
        }
    }

    private mutating func write(fixed value: UInt64) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func unsigned(_ value: inout UInt64) throws(LedgerFormatError) { write(value) }

    mutating func text(_ value: inout String) throws(LedgerFormatError) { write(text: value) }

    mutating func topicID(_ value: inout KafkaUUID) throws(LedgerFormatError) { write(topicID: value) }

    mutating func bytes(_ value: inout ByteBuffer) throws(LedgerFormatError) {
        write(UInt64(value.readableBytes))
        bytes.append(contentsOf: value.readableBytesView)
    }

    mutating func list<Element>(
        _ values: inout [Element], empty: Element,
        _ each: (inout Element, inout LedgerWriter) throws(LedgerFormatError) -> Void
    ) throws(LedgerFormatError) {
        write(UInt64(values.count))
        for value in values {
            var copy = value
            try each(&copy, &self)
        }
    }
}
