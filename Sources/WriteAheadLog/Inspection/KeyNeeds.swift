import Sealing

/// Which site keys the segments of a lane's directory need, from what stands in them in clear: no key is asked for.
public struct LaneKeyNeeds: Sendable, Equatable {
    /// Segments by the name of their key.
    public private(set) var byKey: [String: Int] = [:]
    public private(set) var plain = 0
    /// Segments, or files of that name, that do not say.
    public private(set) var unknown = 0

    public init() {}

    /// Changes nothing; the lane may be in use.
    public init(directory: String) throws(WALError) {
        do throws(DiskError) {
            let disk = try LocalDisk(reading: directory)
            for entry in try disk.list() {
                guard let sequence = SegmentName.sequence(entry.name) else { continue }
                try add(entry, sequence, disk)
            }
        } catch {
            throw .io(error)
        }
    }

    public mutating func add(_ other: LaneKeyNeeds) {
        byKey.merge(other.byKey, uniquingKeysWith: +)
        plain += other.plain
        unknown += other.unknown
    }

    private mutating func add(_ entry: DiskEntry, _ sequence: UInt64, _ disk: LocalDisk) throws(DiskError) {
        // Without keys every sealed segment is locked, and says by which key.
        var search = SegmentSearch(disk: disk, unlocking: LogUnlocking(ring: nil, lane: nil))
        do throws(DiskError) {
            switch try search.identify(entry, sequence) {
            case .untouchable(.noKeys(let id)): byKey[id, default: 0] += 1
            case .segment(let segment) where segment.isReadable: plain += 1
            case .segment, .untouchable, nil: unknown += 1
            }
        } catch {
            // Freed since the listing.
            if error.errno != 2 { throw error }
        }
    }
}
