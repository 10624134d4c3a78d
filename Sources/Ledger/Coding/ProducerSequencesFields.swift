import KafkaProtocol
import NIOCore

/// Producer states keep the encoding of their own module, behind their length.
extension ProducerSequences: LedgerCoded {
    static var blank: ProducerSequences { ProducerSequences() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        var encoded = ByteBuffer()
        encode(into: &encoded)
        try coder.bytes(&encoded)
        guard let decoded = ProducerSequences.decoded(encoded) else { throw .invalidValue(what: "producer state") }
        self = decoded
    }
}
