import Ledger
import Logging
import ObjectStore
import SharedObject

/// Finds site objects that nobody announced: lists what the store has after the last adopted object of each lane.
///
/// One pass goes through all sites in the order of the listing and jumps over what is adopted, so that it costs about two
/// requests for each lane, however many objects there are.
extension Adopter {
    private static var pageObjects: Int { 100 }

    /// One pass over everything. False when it had to give up; the next one begins anew.
    @discardableResult
    func reconcile() async -> Bool {
        var after: String?
        var seen: Set<LaneID> = []
        var current: LaneID?
        while !Task.isCancelled {
            guard let page = await list(ObjectKeys.sitesPrefix, after: after) else { return false }
            let lane = page.objects.lazy.compactMap { SiteObjectKey(parsing: $0.key) }.first.map { LaneID($0) }
            if let lane, lane != current {
                // A server that does not list in byte order would send us in circles; known lanes follow below.
                guard seen.insert(lane).inserted else { break }
                current = lane
            }
            let next = lane == nil ? page.next : await handle(page)
            guard let next, next != after else { break }
            after = next
        }
        guard await reconcileKnownLanes(except: seen) else { return false }
        count { $0.rounds += 1 }
        return true
    }

    /// Lanes that the pass did not meet: all they had is deleted, or the store lists in another order.
    private func reconcileKnownLanes(except seen: Set<LaneID>) async -> Bool {
        for site in ledger.view.sites() {
            for incarnation in site.incarnations {
                for lane in incarnation.lanes {
                    let id = LaneID(site: site.site, incarnation: incarnation.incarnation, lane: lane.lane)
                    guard !seen.contains(id) else { continue }
                    if Task.isCancelled { return false }
                    guard await reconcile(lane: id) else { return false }
                }
            }
        }
        return !Task.isCancelled
    }

    private func reconcile(lane id: LaneID) async -> Bool {
        let prefix = ObjectKeys.lanePrefix(site: id.site, incarnation: id.incarnation, lane: id.lane)
        let last = ObjectKeys.site(
            site: id.site, incarnation: id.incarnation, lane: id.lane, sequence: nextSequence(id) - 1)
        guard let page = await list(prefix, after: last) else { return false }
        _ = await handle(page)
        return true
    }

    private func list(_ prefix: String, after: String?) async -> ListPage? {
        let retry = RetryPolicy(attemptsMax: 4, base: .milliseconds(200), cap: .seconds(5))
        var random = WorldRandom(random: world.random)
        count { $0.listings += 1 }
        do throws(ObjectStoreError) {
            return try await withRetry(retry, clock: world.clock, using: &random) {
                (_: Int) async throws(ObjectStoreError) in
                try await store.list(prefix: prefix, startAfter: after, limit: Self.pageObjects)
            }
        } catch {
            count { $0.failedListings += 1 }
            logger.warning("cannot list the sites' objects", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// Works on the lane of the page's first object. Returns the key to list on from, nil for the end of the page.
    private func handle(_ page: ListPage) async -> String? {
        guard let first = page.objects.lazy.compactMap({ SiteObjectKey(parsing: $0.key) }).first else { return nil }
        let id = LaneID(site: first.site, incarnation: first.incarnation, lane: first.lane)
        let next = nextSequence(id)
        let listed = page.objects.compactMap { object -> (key: SiteObjectKey, sizeBytes: Int)? in
            guard let key = SiteObjectKey(parsing: object.key), LaneID(key) == id else { return nil }
            return (key, object.sizeBytes)
        }
        for object in listed where object.key.sequence >= next {
            let report = await adopt(object.key, sizeHint: object.sizeBytes)
            guard case .adopted = report.result else { return endOfLane(id) }
            count { $0.foundByListing += 1 }
        }
        guard let lastListed = listed.last?.key.sequence else { return endOfLane(id) }
        // Whatever is adopted need not be listed; what follows in this lane comes with the next page.
        let adopted = nextSequence(id) - 1
        return ObjectKeys.site(
            site: id.site, incarnation: id.incarnation, lane: id.lane, sequence: max(adopted, lastListed))
    }

    /// A key after all keys of the lane: no number has twenty nines.
    private func endOfLane(_ id: LaneID) -> String {
        ObjectKeys.lanePrefix(site: id.site, incarnation: id.incarnation, lane: id.lane)
            + String(repeating: "9", count: 20)
    }
}

extension Adopter.LaneID {
    init(_ key: SiteObjectKey) {
        self.init(site: key.site, incarnation: key.incarnation, lane: key.lane)
    }
}

extension LaneStatus {
    /// `facts` is nil for a lane of which nothing has been adopted.
    init(_ id: Adopter.LaneID, _ facts: LaneFacts?, _ quarantine: QuarantinedObject?) {
        self.init(
            site: id.site, incarnation: id.incarnation, lane: id.lane, adoptedSequence: (facts?.nextSequence ?? 1) - 1,
            adoptedLSN: facts?.lastLSN ?? 0, adoptedMs: facts?.adoptedMs ?? 0, recordCount: facts?.recordCount ?? 0,
            sizeBytes: facts?.sizeBytes ?? 0, rejectedRuns: facts?.rejectedRuns ?? 0,
            missingLSNs: facts?.missingLSNs ?? 0, gaps: facts?.gaps ?? [], gapTotals: facts?.gapTotals ?? [:],
            quarantine: quarantine)
    }
}
