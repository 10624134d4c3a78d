import KafkaProtocol
import NIOCore
import Testing

@testable import Ledger

/// Bytes of format version 2, made by the last binary that wrote it, are read as what they said.
@Suite("Format version 2") struct FormatVersion2Tests {
    private func bytes(_ hex: String) -> ByteBuffer {
        let digits = hex.compactMap(\.hexDigitValue).map { UInt8($0) }
        return ByteBuffer(bytes: stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    @Test("a rewrite that forgets no transactions")
    func rewrite() throws {
        let batch = try LedgerBatch(decoding: bytes(rewriteOfVersion2))
        guard case .extentsRewritten(let record) = batch.records.first else {
            Issue.record("not a rewrite: \(batch.records)")
            return
        }
        #expect(batch.sequence == 9 && batch.epoch == 2 && batch.records.count == 1)
        #expect(record.key == "merged/1" && record.nodeID == 1 && record.nodeEpoch == 2)
        #expect(record.runs.map(\.fingerprint) == [.max])
        #expect(record.runs.map(\.forgotten) == [[]])
    }

    @Test("the command for it")
    func command() throws {
        guard case .rewriteExtents(let rewrite) = try LedgerCommand(decoding: bytes(commandOfVersion2)) else {
            Issue.record("not a rewrite")
            return
        }
        #expect(rewrite.runs.map(\.maxTimestampMs) == [1 << 50] && rewrite.nowMs == 26)
        #expect(rewrite.runs.map(\.forgotten) == [[]])
    }
}

private let rewriteOfVersion2 = """
    434c424700020000872a676c0902011a086d65726765642f3180808001012c2e02000000020201000000000000000ca10000\
    000000000001000012ffffffffffffffffff01648c010180808080808080040204
    """

private let commandOfVersion2 = """
    434c434d0002000093842f581b086d65726765642f31808080010608013201000000000000000ca100000000000000010000\
    12ffffffffffffffffff01648c0101808080808080800434
    """
