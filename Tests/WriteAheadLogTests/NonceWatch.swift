import Sealing
import Synchronization
import Testing

@testable import WriteAheadLog

/// Looks at every write that a disk is asked for: two sealed groups of one data key at one place in a file must be one and the same.
final class NonceWatch: Sendable {
    private struct Use: Hashable {
        var record: [UInt8]
        var offset: Int
    }

    private let groups = Mutex<[Use: [UInt8]]>([:])

    var count: Int { groups.withLock { $0.count } }

    /// Data keys that have sealed something.
    var recordCount: Int { groups.withLock { Set($0.keys.map(\.record)).count } }

    func note(_ bytes: [UInt8], at offset: Int) {
        // A segment's head is written together with its first group.
        let start = offset == 0 ? Block.sizeBytes : 0
        guard let (header, record) = Self.group(bytes[start...]) else { return }
        let end = min(bytes.count, start + header.usedBytes)
        let message = Array(bytes[start..<end])
        let former = groups.withLock { groups in
            let use = Use(record: record, offset: offset + start)
            defer { groups[use] = message }
            return groups[use]
        }
        #expect(former == nil || former == message, "one nonce for two messages, at \(offset)")
    }

    private static func group(_ bytes: ArraySlice<UInt8>) -> (GroupHeader, [UInt8])? {
        bytes.withUnsafeBytes { bytes in
            guard let header = GroupHeader(readingAny: bytes), header.isSealed else { return nil }
            return (header, Array(bytes[GroupHeader.keyAt..<GroupHeader.sealedSizeBytes]))
        }
    }
}
