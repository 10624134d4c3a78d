import Sealing

/// Finds out whose segments the files of a directory are, reading a block or two of each.
///
/// Where block 0 is lost, any group inside tells what it said. The start must not depend on how many files are damaged:
/// the first blocks of each are always looked at, the rest of them only until a budget they share is used up.
struct SegmentSearch<D: Disk> {
    private let disk: D
    /// For heads: small, so that a thousand segments cost a few MiB.
    private let heads: ScanWindow<D>
    private let deep: ScanWindow<D>
    private let unlocking: LogUnlocking
    private var budgetBytes: Int
    /// Segments that were not searched to their end, by sequence.
    private(set) var unsearched: [UInt64] = []

    static var deepBytes: Int { 64 << 10 }
    static var budgetBytes: Int { 64 << 20 }

    init(disk: D, unlocking: LogUnlocking, budgetBytes: Int = Self.budgetBytes) {
        self.disk = disk
        self.unlocking = unlocking
        self.budgetBytes = budgetBytes
        heads = ScanWindow(disk: disk, sizeBytes: 2 * Block.sizeBytes)
        deep = ScanWindow(disk: disk, sizeBytes: Self.deepBytes)
        heads.readsAroundErrors = true
        deep.readsAroundErrors = true
    }

    var readBytes: Int { heads.readBytes + deep.readBytes }
    var failedBlocks: Int { heads.failedBlocks + deep.failedBlocks }

    enum Found {
        case segment(LiveSegment<D.File>)
        case untouchable(UntouchableReason)
    }

    /// - Parameter sequence: what the file's name says; nil takes what the file says, and then finding nothing is nil.
    mutating func identify(_ entry: DiskEntry, _ sequence: UInt64?) throws(DiskError) -> Found? {
        let file = try openPatiently(entry.name)
        heads.open(file)
        var segment = LiveSegment(
            sequence: sequence ?? 0, salt: 0, file: file, sizeBytes: entry.sizeBytes, firstLSN: 0,
            endBytes: entry.sizeBytes)
        let head = try heads.bytes(at: 0, count: SegmentHeader.readBytes)
        if case .newer(let format) = SegmentHeader.format(of: head) { return .untouchable(.newerFormat(format)) }
        if let header = SegmentHeader(reading: head), header.sequence == sequence ?? header.sequence {
            segment.take(header)
            // The record of its key may be damaged alone: then a group has a copy of it.
            if !header.isSealed || header.key != nil { return unlock(segment, header.key) }
        }
        segment.hasHeader = false
        switch try findGroup(of: sequence, file, entry) {
        case .none:
            if sequence == nil { return nil }
            segment.isReadable = false
        case .newer(let format): return .untouchable(.newerFormat(format))
        case .group(let group, let record):
            segment.sequence = group.sequence
            segment.salt = group.salt
            segment.firstLSN = group.firstLSN
            return unlock(segment, record)
        }
        return .segment(segment)
    }

    private func unlock(_ segment: LiveSegment<D.File>, _ record: LogKeyRecord?) -> Found {
        guard let record else { return .segment(segment) }
        switch unlocking.open(record, segment: segment.sequence, salt: segment.salt) {
        case .locked(let reason): return .untouchable(reason)
        case .keys(let keys):
            var segment = segment
            segment.keys = keys
            return .segment(segment)
        }
    }

    /// A few attempts: an error that passes must not cost a segment.
    private func openPatiently(_ name: String) throws(DiskError) -> D.File {
        for _ in 0..<2 {
            if let file = try? disk.open(name) { return file }
        }
        return try disk.open(name)
    }

    private enum Sign {
        case none
        case newer(NewerFormat)
        case group(GroupHeader, LogKeyRecord?)
    }

    private mutating func findGroup(
        of sequence: UInt64?, _ file: D.File, _ entry: DiskEntry
    ) throws(DiskError) -> Sign {
        deep.open(file)
        let before = deep.readBytes
        var at = 0
        while at + GroupHeader.sizeBytes <= entry.sizeBytes {
            let read = deep.readBytes - before
            if at >= Self.deepBytes, at % Self.deepBytes == 0, read - Self.deepBytes >= budgetBytes {
                unsearched.append(sequence ?? 0)
                break
            }
            let bytes = try deep.bytes(at: at, count: GroupHeader.sealedSizeBytes)
            if case .newer(let format) = GroupHeader.format(of: bytes) { return .newer(format) }
            if let group = GroupHeader(readingAny: bytes), group.sequence == sequence ?? group.sequence {
                guard group.isSealed else { return .group(group, nil) }
                let record = LogKeyRecord(
                    reading: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(GroupHeader.keyAt)), salt: group.salt)
                if let record { return .group(group, record) }
            }
            at += Block.sizeBytes
        }
        budgetBytes -= max(0, deep.readBytes - before - Self.deepBytes)
        return .none
    }
}

extension LiveSegment {
    fileprivate mutating func take(_ header: SegmentHeader) {
        sequence = header.sequence
        salt = header.salt
        firstLSN = header.firstLSN
        bootEpoch = header.bootEpoch
    }
}
