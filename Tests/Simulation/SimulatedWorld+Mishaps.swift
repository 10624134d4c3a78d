import ObjectStore
import WriteAheadLog

/// Disks that are set back, copied, or rot.
extension SimulatedWorld {
    private static let imagesMax = 3

    mutating func mishap(_ site: Int) throws {
        if random.chance(conditions.rotPerMille) { try rot(site) }
        if conditions.rotPerMille > 0, random.chance(10) { try scrub(site) }
        guard conditions.isSetBack || conditions.isCopied else { return }
        if random.chance(25) { takeImage(site) }
        if conditions.isSetBack, random.chance(12) { try setBack(site) }
        if conditions.isCopied, sites.count == 1, random.chance(20) { try copyDisks() }
    }

    /// Somebody saves the disks of a gateway: an image, a snapshot of a virtual machine.
    mutating func takeImage(_ site: Int) {
        if images.count == Self.imagesMax { images.remove(at: Int.random(in: images.indices, using: &random)) }
        images.append(image(site))
        note("image", "\(site)")
    }

    private func image(_ site: Int) -> SiteImage {
        let unsure = producers.lazy.filter { $0.site == site }.flatMap { producer in
            producer.unsure.map { Oracle.Written(producer: producer.number, value: $0) }
        }
        return sites[site].image(unsure: Set(unsure))
    }

    /// And puts it back: what came since is gone with the disk, save what is in the store.
    mutating func setBack(_ site: Int) throws {
        guard let image = images.randomElement(using: &random) else { return }
        let former = records(ofBranch: sites[site].branch)
        try start(site, from: image)
        let kept = records(ofBranch: sites[site].branch)
        let stored = StoredRecords.all(in: durableStore.contents.values)
        losses.lost(withDisk: former.subtracting(kept).subtracting(stored))
        let twice = try sites[site].unplanned()
        losses.standTwice(twice)
        var elsewhere = stored.union(StoredRecords.all(in: lateStore.bodies))
        // Or on the other gateway's disk.
        for other in sites where other.number != site {
            elsewhere.formUnion(try other.unplanned().union(other.planned().records))
        }
        losses.mayComeAgain(twice.intersection(elsewhere))
        try notePlansElsewhere(site)
        note("set back", "\(site), \(losses.withDisks.count) lost, \(twice.count) on two disks")
    }

    /// Another machine starts with a copy of the disks, and gets clients of its own.
    mutating func copyDisks() throws {
        let image = random.chance(500) ? image(0) : images.randomElement(using: &random) ?? image(0)
        sites.append(sites[0].machine(number: 1))
        producers += Self.makeProducers(of: 1)
        try start(1, from: image)
        // A plan whose recording failed is none to the one that runs on, and stands on the disk all the same.
        let twice = try sites[1].unplanned().union(sites[0].unplanned().intersection(sites[1].planned().records))
        losses.standTwice(twice)
        losses.mayComeAgain(twice)
        try notePlansElsewhere(1)
        note("copied", "\(twice.count) on two disks")
    }

    /// What an old disk has planned may have come into the store under another name since, as the plan had been given up, or under
    /// the same one by another plan.
    private mutating func notePlansElsewhere(_ site: Int) throws {
        let (records, authors) = try sites[site].planned()
        let others = durableStore.contents.filter { key, body in
            guard let author = authors[key] else { return true }
            return StoredRecords.author(of: body) != author
        }.values
        losses.mayComeAgain(records.intersection(StoredRecords.all(in: Array(others) + lateStore.bodies)))
    }

    private mutating func start(_ site: Int, from image: SiteImage) throws {
        let branch = oracle.branch(from: image.branch, ends: image.ends, unsure: image.unsure)
        try sites[site].start(from: image, branch: branch, isSnapshot: random.chance(500), using: &random)
        // Clients meet a log that does not know them as they were.
        for index in producers.indices where producers[index].site == site {
            producers[index].disconnected()
            producers[index].reborn()
        }
    }

    /// A restart found fewer plans than there were: damaged, they are forgotten, and what they had brought into the store is
    /// planned again.
    mutating func noteForgotten(_ site: Int, _ former: [UInt64]) throws {
        for (lane, next) in former.enumerated() {
            let found = sites[site].lanes[lane].log.uploadState.nextPlanLSN
            guard found < next else { continue }
            let again = try sites[site].records(of: lane, from: found, through: next - 1)
            let stored = again.intersection(
                StoredRecords.all(in: Array(durableStore.contents.values) + lateStore.bodies))
            losses.mayComeAgain(stored)
            // Or be given up, by a log that takes them for its own still.
            losses.standTwice(stored)
            note("plans forgotten", "\(site) \(lane) from LSN \(found) to \(next - 1)")
        }
    }

    mutating func rot(_ site: Int) throws {
        let lane = Int.random(in: 0...1, using: &random)
        guard let hit = sites[site].rot(lane, using: &random) else { return }
        for (place, offsets) in hit.records {
            losses.rotted(offsets, Oracle.Local(lane: lane, place: place), branch: sites[site].branch)
        }
        if hit.isInLastGroup { tally["rot in the last group", default: 0] += 1 }
        note("rot", "\(site) \(lane) \(hit.description)")
    }

    mutating func scrub(_ site: Int) throws {
        for lane in sites[site].lanes {
            let found = try lane.log.scrub(lane.rot)
            if found > 0 { note("scrubbed", "\(site) \(lane.configuration.name), \(found) gaps") }
        }
    }

    private func records(ofBranch branch: Int) -> Set<Oracle.Written> {
        Set(oracle.line(branch).values.lazy.flatMap(\.values))
    }
}
