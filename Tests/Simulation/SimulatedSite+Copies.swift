import SharedObject
import WriteAheadLog

@testable import Uplink

/// A gateway's disks as they were once.
struct SiteImage {
    fileprivate struct Lane {
        var disk: SimulatedDisk.Image
        var appendedLSN: UInt64
        var index: SimulatedIndex
        var rot: SimulatedRot
    }

    fileprivate var lanes: [Lane]
    fileprivate var files: SimulatedFiles.Contents
    let branch: Int
    /// Where the partitions ended.
    let ends: [Oracle.Local: Int64]
    /// What may be on them though nobody was told.
    let unsure: Set<Oracle.Written>
}

extension SimulatedSite {
    /// Everything that is on the disks now.
    func image(unsure: Set<Oracle.Written>) -> SiteImage {
        SiteImage(
            lanes: lanes.map {
                SiteImage.Lane(disk: $0.disk.image, appendedLSN: $0.appendedLSN, index: $0.index, rot: $0.rot)
            }, files: files.contents, branch: branch, ends: ends, unsure: unsure)
    }

    private var ends: [Oracle.Local: Int64] {
        var ends: [Oracle.Local: Int64] = [:]
        for (place, lane) in lanes.enumerated() {
            for row in lane.log.partitions {
                let name = Oracle.Place(topic: row.topic, partition: row.partition)
                ends[Oracle.Local(lane: place, place: name)] = row.highWatermark
            }
        }
        return ends
    }

    /// The disks are copies of `image` now, and the gateway starts from them: as from copied files, or with `isSnapshot` as
    /// from a copy of a running machine.
    /// Nothing of what the gateway was before is left.
    mutating func start(
        from image: SiteImage, branch: Int, isSnapshot: Bool, using random: inout SeededRandom
    ) throws {
        self.branch = branch
        files = SimulatedFiles(image.files)
        for (place, copy) in image.lanes.enumerated() {
            lanes[place].disk = SimulatedDisk(copy.disk, capacityBytes: lanes[place].disk.capacityBytes)
            lanes[place].appendedLSN = copy.appendedLSN
            lanes[place].index = copy.index
            lanes[place].rot = copy.rot
        }
        try restart(powerCut: isSnapshot, mayFail: true, using: &random)
    }

    /// Another machine, to be started from an image.
    func machine(number: Int) -> SimulatedSite {
        var copy = self
        copy.number = number
        return copy
    }

    /// Records that are in no plan of the log: what the gateway will upload.
    func unplanned() throws -> Set<Oracle.Written> {
        try lanes.indices.reduce(into: []) { found, lane in
            let log = lanes[lane].log
            found.formUnion(try records(of: lane, from: log.uploadState.nextPlanLSN, through: log.durableLSN))
        }
    }

    /// Records of open plans, and by the names that their objects have, who planned them.
    func planned() throws -> (records: Set<Oracle.Written>, authors: [String: UInt64]) {
        var found: (records: Set<Oracle.Written>, authors: [String: UInt64]) = ([], [:])
        for (place, lane) in lanes.enumerated() {
            for plan in lane.log.uploadState.openPlans {
                found.records.formUnion(try records(of: place, from: plan.firstLSN, through: plan.lastLSN))
                let name = runner.identity.place(lane: lane.configuration.name, sequence: plan.sequence)
                let key = ObjectKeys.site(
                    site: Self.site, incarnation: name.incarnation, lane: lane.configuration.name,
                    sequence: name.sequence)
                found.authors[key] = plan.author
            }
        }
        return found
    }

    /// What a lane holds in a range of its LSNs.
    func records(of lane: Int, from first: UInt64, through last: UInt64) throws -> Set<Oracle.Written> {
        var found: Set<Oracle.Written> = []
        var next = first
        // Nobody reads but the simulation itself.
        let faults = lanes[lane].disk.faults
        lanes[lane].disk.faults.failingReads = 0
        defer { lanes[lane].disk.faults = faults }
        while next <= last {
            let slice = try lanes[lane].log.read(from: next, maxBytes: 1 << 20, maxCount: 1000)
            for batch in slice.batches where batch.lsn <= last {
                found.formUnion(try Batches.texts(in: batch.batch).compactMap(Oracle.Written.init(text:)))
            }
            guard slice.nextLSN > next else { break }
            next = slice.nextLSN
        }
        return found
    }
}
