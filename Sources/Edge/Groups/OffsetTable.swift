import GroupCoordination
import KafkaProtocol

/// How much the groups of a site may have committed. What is beyond is refused, never dropped.
struct OffsetLimits: Sendable, Equatable {
    var groupsMax = 1_000
    var offsetsMax = 100_000
    /// Names, metadata and a fixed amount for each entry.
    var bytesMax = 16 << 20
}

/// One thing that changes what groups have committed.
enum OffsetChange: Sendable, Equatable {
    case commit(group: String, offsets: [NamedOffset])
    case deleteGroup(String)
    case deleteOffsets(group: String, places: [TopicPartition])

    struct NamedOffset: Sendable, Equatable {
        let place: TopicPartition
        let offset: CommittedOffset
    }

    /// About as much memory as it takes.
    var sizeBytes: Int {
        switch self {
        case .commit(let group, let offsets):
            offsets.reduce(128 + group.utf8.count) {
                $0 + 128 + $1.place.topic.utf8.count + $1.offset.metadata.utf8.count
            }
        case .deleteGroup(let group): 128 + group.utf8.count
        case .deleteOffsets(let group, let places):
            places.reduce(128 + group.utf8.count) { $0 + 64 + $1.topic.utf8.count }
        }
    }
}

/// One row of the file, as it is to be.
enum OffsetRow: Sendable, Equatable {
    case put(group: String, place: TopicPartition, offset: CommittedOffset)
    case remove(group: String, place: TopicPartition)
    case removeGroup(String)
}

/// What the groups of a site have committed. Changes in, codes and rows out; no I/O.
struct OffsetTable: Sendable {
    typealias Offsets = [TopicPartition: CommittedOffset]

    let limits: OffsetLimits
    private(set) var groups: [String: Offsets] = [:]
    private(set) var offsetCount = 0
    private(set) var sizeBytes = 0

    init(limits: OffsetLimits = OffsetLimits()) {
        self.limits = limits
    }

    /// Makes the change, says what each of its items is answered with, and adds what has to be written to `rows`.
    mutating func apply(_ change: OffsetChange, rows: inout [OffsetRow]) -> [ErrorCode] {
        switch change {
        case .commit(let group, let offsets):
            return offsets.map { item in
                let code = put(group, item.place, item.offset)
                if code == .none { rows.append(.put(group: group, place: item.place, offset: item.offset)) }
                return code
            }
        case .deleteGroup(let group):
            if removeGroup(group) { rows.append(.removeGroup(group)) }
            return [.none]
        case .deleteOffsets(let group, let places):
            for place in places where remove(group, place) { rows.append(.remove(group: group, place: place)) }
            return places.map { _ in .none }
        }
    }

    /// An offset beyond the end of the log was committed before records were lost with their segments: the numbers will be given
    /// again. Its group goes on with what comes next instead of jumping over it. Returns how many there were.
    mutating func clamp(
        rows: inout [OffsetRow], end: (TopicPartition) -> Int64
    ) -> Int {
        var count = 0
        for (group, offsets) in groups {
            for (place, offset) in offsets where offset.offset > end(place) {
                var clamped = offset
                clamped.offset = end(place)
                groups[group]?[place] = clamped
                rows.append(.put(group: group, place: place, offset: clamped))
                count += 1
            }
        }
        return count
    }

    /// Every entry as a row.
    var allRows: [OffsetRow] {
        groups.flatMap { group, offsets in
            offsets.map { OffsetRow.put(group: group, place: $0.key, offset: $0.value) }
        }
    }

    // MARK: Inside

    private mutating func put(_ group: String, _ place: TopicPartition, _ offset: CommittedOffset) -> ErrorCode {
        // As in the cloud: it is not an offset.
        guard offset.offset >= 0 else { return .invalidCommitOffsetSize }
        let old = groups[group]?[place]
        let isNewGroup = groups[group] == nil
        let growth =
            Self.bytes(place, offset) - (old.map { Self.bytes(place, $0) } ?? 0)
            + (isNewGroup ? Self.bytes(group) : 0)
        // The one code for "no" that every client gives to the application instead of trying for ever.
        guard groups.count + (isNewGroup ? 1 : 0) <= limits.groupsMax,
            offsetCount + (old == nil ? 1 : 0) <= limits.offsetsMax,
            growth <= 0 || sizeBytes + growth <= limits.bytesMax
        else { return .invalidCommitOffsetSize }
        groups[group, default: [:]][place] = offset
        offsetCount += old == nil ? 1 : 0
        sizeBytes += growth
        return .none
    }

    private mutating func remove(_ group: String, _ place: TopicPartition) -> Bool {
        guard let old = groups[group]?.removeValue(forKey: place) else { return false }
        offsetCount -= 1
        sizeBytes -= Self.bytes(place, old)
        // A group without offsets is none.
        if groups[group]?.isEmpty ?? false { _ = removeGroup(group) }
        return true
    }

    private mutating func removeGroup(_ group: String) -> Bool {
        guard let offsets = groups.removeValue(forKey: group) else { return false }
        offsetCount -= offsets.count
        sizeBytes -= offsets.reduce(Self.bytes(group)) { $0 + Self.bytes($1.key, $1.value) }
        return true
    }

    private static func bytes(_ group: String) -> Int { 128 + group.utf8.count }

    private static func bytes(_ place: TopicPartition, _ offset: CommittedOffset) -> Int {
        128 + place.topic.utf8.count + offset.metadata.utf8.count
    }
}
