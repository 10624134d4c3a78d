import NIOCore

@testable import WriteAheadLog

/// Bits that flip at rest in what a lane has synced, and what can no longer be read for that.
///
/// What a flip may cost is worked out here from where the frames lay before it, and never asked of those who read.
struct SimulatedRot {
    /// A frame where it lay while it could be read.
    private struct Spot {
        var segment: UInt64
        var isSealed: Bool
        var group: Int
        var offset: Int
        var end: Int
        var lsn: UInt64
        /// Of a batch; nil for the log's own frames.
        var place: Oracle.Place?
        var offsets: Range<Int64>
        /// Of a gap frame: what was given up, which nothing else may tell of.
        var gap: GapRecord?
    }

    /// One damage: what was hit, and the most that it may cost.
    struct Hit: CustomStringConvertible {
        var description: String
        var lsns: Set<UInt64> = []
        var records: [Oracle.Place: Set<Int64>] = [:]
        /// In the group that was written last: only the index knows that it had been whole.
        var isInLastGroup = false
    }

    private struct Group: Hashable {
        var segment: UInt64
        var offset: Int
    }

    /// All that may be unreadable by now.
    private(set) var lsns: Set<UInt64> = []
    var hasStruck: Bool { !heads.isEmpty || !groups.isEmpty }
    private var groups: Set<Group> = []
    private var heads: Set<UInt64> = []

    /// Nil where there is nothing to hit.
    mutating func strike(
        _ lane: SimulatedLane, _ disk: SimulatedDisk, using random: inout SeededRandom
    ) -> Hit? {
        let (spots, segments, copies) = lane.look { core in
            (
                Self.layout(core), core.segments.map(\.sequence),
                core.segments.filter { $0.headCopy != nil }.map(\.sequence)
            )
        }
        let last = spots.last.map { Group(segment: $0.segment, offset: $0.group) }
        var hit: Hit?
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<15: hit = strikeHead(segments, disk, using: &random)
        case 15..<30: hit = strikeCheckpoint(spots, segments, copies, disk, using: &random)
        case 30..<50:
            hit = strikeFrame(
                spots.filter { $0.group == last?.offset && $0.segment == last?.segment }, spots, disk, using: &random)
        case 50..<65: hit = strikeGroup(spots, disk, isBlock: false, using: &random)
        case 65..<80: hit = strikeGroup(spots, disk, isBlock: true, using: &random)
        default: hit = strikeFrame(spots, spots, disk, using: &random)
        }
        guard let hit else { return nil }
        lsns.formUnion(hit.lsns)
        return hit
    }

    private static func layout(_ core: LaneCore<SimulatedDisk>) -> [Spot] {
        var spots: [Spot] = []
        core.eachFrame { segment, frame in
            let header = frame.header
            let isBatch = header.kind == .batch
            var payload = frame.payload
            spots.append(
                Spot(
                    segment: segment.sequence, isSealed: segment.keys != nil, group: frame.groupOffset,
                    offset: frame.offset, end: frame.offset + header.frameBytes, lsn: header.lsn,
                    place: isBatch ? Oracle.Place(topic: frame.topic, partition: header.partition) : nil,
                    offsets: isBatch
                        ? header.baseOffset..<header.baseOffset + Int64(header.recordCount) : 0..<0,
                    gap: header.kind == .gap ? GapRecord(reading: &payload) : nil))
        }
        return spots
    }

    /// The header of a segment: a valid group stands in for it, and nothing is lost.
    private mutating func strikeHead(
        _ segments: [UInt64], _ disk: SimulatedDisk, using random: inout SeededRandom
    ) -> Hit? {
        let whole = segments.filter { !heads.contains($0) }
        guard let segment = whole.randomElement(using: &random) else { return nil }
        heads.insert(segment)
        flip(
            disk, SegmentName.live(segment), Int.random(in: 0..<SegmentHeader.readBytes, using: &random), using: &random
        )
        return Hit(description: "head of segment \(segment)")
    }

    /// A checkpoint of which there is a copy, or that copy, or one behind a segment that is here: then the state comes from that one's
    /// and all frames behind it.
    private mutating func strikeCheckpoint(
        _ spots: [Spot], _ segments: [UInt64], _ copies: [UInt64], _ disk: SimulatedDisk,
        using random: inout SeededRandom
    ) -> Hit? {
        let heads = spots.filter { spot in
            spot.group == Block.sizeBytes
                && (copies.contains(spot.segment) || segments.contains(spot.segment - 1))
        }
        guard let spot = heads.randomElement(using: &random) else { return nil }
        self.heads.formUnion([segments[0], spot.segment])
        let at = Int.random(in: spot.offset..<spot.end, using: &random)
        if copies.contains(spot.segment), random.chance(250) {
            flip(disk, SegmentName.head(spot.segment), at, using: &random)
            return Hit(description: "copy of the head of segment \(spot.segment)")
        }
        flip(disk, SegmentName.live(spot.segment), at, using: &random)
        return Hit(description: "checkpoint of segment \(spot.segment)", lsns: [spot.lsn])
    }

    private mutating func strikeFrame(
        _ choice: [Spot], _ all: [Spot], _ disk: SimulatedDisk, using random: inout SeededRandom
    ) -> Hit? {
        guard let spot = choice.filter({ $0.group > Block.sizeBytes }).randomElement(using: &random) else { return nil }
        let at = Int.random(in: spot.offset..<spot.end, using: &random)
        flip(disk, SegmentName.live(spot.segment), at, using: &random)
        let group = Group(segment: spot.segment, offset: spot.group)
        // The length leads to the next frame. Where it is damaged, or two frames are, the rest of the group is lost.
        let isAlone = at >= spot.offset + 4 && !groups.contains(group)
        groups.insert(group)
        let lost = all.filter { other in
            guard other.segment == spot.segment, other.group == spot.group else { return false }
            return spot.isSealed || (isAlone ? other.lsn == spot.lsn : other.lsn >= spot.lsn)
        }
        return hit("byte \(at) of segment \(spot.segment), LSN \(spot.lsn)", lost, all)
    }

    /// The header of a group, or any block of it.
    private mutating func strikeGroup(
        _ all: [Spot], _ disk: SimulatedDisk, isBlock: Bool, using random: inout SeededRandom
    ) -> Hit? {
        guard let spot = all.filter({ $0.group > Block.sizeBytes }).randomElement(using: &random) else { return nil }
        let lost = all.filter { $0.segment == spot.segment && $0.group == spot.group }
        groups.insert(Group(segment: spot.segment, offset: spot.group))
        let name = SegmentName.live(spot.segment)
        guard isBlock, let end = lost.last?.end else {
            flip(
                disk, SegmentName.live(spot.segment),
                Int.random(in: spot.group..<spot.group + GroupHeader.sizeBytes, using: &random),
                using: &random)
            return hit("group at \(spot.group) of segment \(spot.segment)", lost, all)
        }
        let blocks = (end - spot.group + Block.sizeBytes - 1) / Block.sizeBytes
        let at = spot.group + Int.random(in: 0..<blocks, using: &random) * Block.sizeBytes
        let isNoise = random.chance(500)
        disk.overwrite(
            name, at: at,
            with: (0..<Block.sizeBytes).map { _ in isNoise ? UInt8.random(in: 0...255, using: &random) : 0 })
        return hit("block at \(at) of segment \(spot.segment)", lost, all)
    }

    private func hit(_ what: String, _ lost: [Spot], _ all: [Spot]) -> Hit {
        var hit = Hit(description: what)
        for spot in lost {
            hit.lsns.insert(spot.lsn)
            if let place = spot.place { hit.records[place, default: []].formUnion(spot.offsets) }
            guard let gap = spot.gap else { continue }
            hit.lsns.formUnion(gap.firstLSN...gap.lastLSN)
            for item in gap.partitions {
                let place = Oracle.Place(topic: item.topic, partition: item.partition)
                hit.records[place, default: []].formUnion(item.firstOffset...item.lastOffset)
            }
        }
        hit.isInLastGroup = lost.contains { $0.lsn == all.last?.lsn }
        return hit
    }

    private func flip(_ disk: SimulatedDisk, _ name: String, _ at: Int, using random: inout SeededRandom) {
        let bit = UInt8.random(in: 0..<8, using: &random)
        disk.corrupt(name, at: at) { $0 ^= 1 << bit }
    }
}

extension SimulatedLane {
    /// Reads every closed segment again as the scrubber does. Throws when it takes for damaged what is not.
    func scrub(_ rot: SimulatedRot) throws -> Int {
        try inspect { core in
            let view = core.view
            var found = 0
            for (place, segment) in view.segments.dropLast().enumerated() where segment.isReadable {
                let check = SegmentCheck(
                    disk: core.disk, segment: segment, limitLSN: view.limitLSN(of: place),
                    hasNeighbour: view.segments[place + 1].sequence == segment.sequence + 1)
                guard let finding = try? check.run({ _ in true }) else { continue }
                found += finding.gaps.count
                for gap in finding.gaps {
                    guard (gap.firstLSN...gap.lastLSN).allSatisfy(rot.lsns.contains) else {
                        throw SimulationFailure("scrubbing segment \(segment.sequence): \(gap) is not damaged")
                    }
                }
            }
            return found
        }
    }
}
