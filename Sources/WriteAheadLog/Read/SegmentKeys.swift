import Glibc
import Sealing
import Synchronization

/// The data keys of one sealed segment: that of its header, and one more of each start of the log that went on in it.
///
/// Each group names its own. All are wrapped by the same site key, so what opens the first opens the rest.
final class SegmentKeys: Sendable {
    let first: LogKey
    private let sequence: UInt64
    private let salt: UInt64
    private let ring: KeyRing
    private let others: Mutex<[LogKey]>
    /// Others are unwrapped again when they are asked for.
    private static let keptMax = 64

    init(first: LogKey, sequence: UInt64, salt: UInt64, ring: KeyRing) {
        self.first = first
        self.sequence = sequence
        self.salt = salt
        self.ring = ring
        others = Mutex([])
    }

    /// A key that groups to come are sealed with.
    func add(_ key: LogKey) {
        others.withLock { others in
            if others.count >= Self.keptMax { others.removeFirst() }
            others.append(key)
        }
    }

    /// The key whose record stands in a group; where that is damaged, those that come into question.
    func candidates(_ record: UnsafeRawBufferPointer) -> [LogKey] {
        if first.record.isSame(as: record) { return [first] }
        let known = others.withLock { $0 }
        if let key = known.last(where: { $0.record.isSame(as: record) }) { return [key] }
        guard let read = LogKeyRecord(reading: record, salt: salt) else { return [first] + known }
        guard let key = try? LogKey.open(read, segment: sequence, salt: salt, ring: ring) else { return [] }
        add(key)
        return [key]
    }
}

extension LogKeyRecord {
    func isSame(as other: UnsafeRawBufferPointer) -> Bool {
        guard other.count >= Self.sizeBytes, let theirs = other.baseAddress else { return false }
        return bytes.withUnsafeBytes { mine in
            mine.baseAddress.map { memcmp($0, theirs, Self.sizeBytes) == 0 } ?? false
        }
    }
}

/// Opens groups of a segment one after the other. One owner.
final class SegmentOpener {
    private let keys: SegmentKeys
    /// Groups that follow each other mostly have one key.
    private var last: (key: LogKey, opener: GroupOpener)?

    init(_ keys: SegmentKeys) { self.keys = keys }

    /// What may open the group whose head these bytes are, the likely one first.
    func openers(head: UnsafeRawBufferPointer) -> [GroupOpener] {
        let record = UnsafeRawBufferPointer(rebasing: head[GroupHeader.keyAt..<GroupHeader.sealedSizeBytes])
        if let last, last.key.record.isSame(as: record) { return [last.opener] }
        let candidates = keys.candidates(record)
        let openers = candidates.map(GroupOpener.init)
        if candidates.count == 1, let key = candidates.first, let opener = openers.first { last = (key, opener) }
        return openers
    }
}
