import Ledger
public import SiteAuthority

/// A site as `cairn site list` and the page show it.
public struct SiteOverview: Sendable, Equatable, Codable {
    public struct Key: Sendable, Equatable, Codable {
        public var generation: UInt32
        public var fingerprint: String
        /// 0 for never.
        public var expiresMs: Int64
    }

    public struct Lane: Sendable, Equatable, Codable {
        public var incarnation: String
        public var lane: String
        public var adoptedSequence: UInt64
        public var records: Int64
        public var gaps: UInt64
        /// The object that does not fit, and why.
        public var quarantined: String?
        public var reason: String?
    }

    public struct Clone: Sendable, Equatable, Codable {
        public var incarnation: String
        public var holder: String
        public var refused: String
        public var seenMs: Int64
    }

    public var site: String
    /// `active`, `revoked`, or `open` for one that nobody registered.
    public var state: String
    public var topics: [String]
    public var lanes: [String]
    public var keys: [Key]
    public var directives: [String: String]
    public var directivesVersion: UInt64
    /// What the gateway said it applied, and what it refused; nil when it was not heard of since the start.
    public var appliedVersion: UInt64?
    public var refused: [String: String]
    /// Image and update of the gateway, as it said.
    public var update: UpdateReport?
    public var address: String?
    public var heardMs: Int64?
    public var progress: [Lane]
    public var clones: [Clone]
}

extension SiteRegistry {
    /// Whether a registered site may write to a lane. False for others.
    public func mayUse(_ site: String, lane: String) -> Bool {
        guard let registration = ledger.view.registration(site) else { return false }
        return !registration.isRevoked && registration.allows(lane: lane)
    }

    /// What the site is told, and the version of that; nil for a site that was never told anything.
    public func directives(_ site: String) -> (values: [String: String], version: UInt64)? {
        guard let registration = ledger.view.registration(site), registration.directivesVersion > 0 else { return nil }
        return (registration.directives, registration.directivesVersion)
    }

    /// The update that a registered site is told, if any.
    public func update(_ site: String) -> UpdateOrder? {
        ledger.view.registration(site)?.directives["update"].flatMap { UpdateOrder($0) }
    }

    /// What each site that was not revoked is told.
    public func updates() -> [String: UpdateOrder] {
        ledger.view.registrations().compactMapValues { registration in
            registration.isRevoked ? nil : registration.directives["update"].flatMap { UpdateOrder($0) }
        }
    }

    /// The last adopted object of each lane of one incarnation.
    public func adopted(site: String, incarnation: String) -> [String: UInt64] {
        let lanes = ledger.view.site(site)?.incarnations.first { $0.incarnation == incarnation }?.lanes ?? []
        return Dictionary(lanes.map { ($0.lane, $0.nextSequence - 1) }, uniquingKeysWith: { first, _ in first })
    }

    /// All sites that are registered or were ever seen, by name.
    public func overview() -> [SiteOverview] {
        let registrations = ledger.view.registrations()
        let seen = Dictionary(ledger.view.sites().map { ($0.site, $0) }, uniquingKeysWith: { first, _ in first })
        let lanes = Dictionary(grouping: adopter.lanes(), by: \.site)
        return Set(registrations.keys).union(seen.keys).union(lanes.keys).sorted().map { site in
            overview(site, registrations[site], seen[site], lanes[site] ?? [])
        }
    }

    private func overview(
        _ site: String, _ registration: SiteRegistration?, _ facts: SiteFacts?, _ lanes: [LaneStatus]
    ) -> SiteOverview {
        let report = report(site)
        return SiteOverview(
            site: site, state: registration.map { $0.isRevoked ? "revoked" : "active" } ?? "open",
            topics: registration?.topics ?? [], lanes: registration?.lanes ?? [],
            keys: (registration?.keys ?? []).map {
                SiteOverview.Key(generation: $0.generation, fingerprint: $0.fingerprint, expiresMs: $0.expiresMs)
            },
            directives: registration?.directives ?? [:], directivesVersion: registration?.directivesVersion ?? 0,
            appliedVersion: report?.directives, refused: report?.refused ?? [:], update: report?.update,
            address: report?.address,
            heardMs: report?.heardMs,
            progress: lanes.map { lane in
                SiteOverview.Lane(
                    incarnation: lane.incarnation, lane: lane.lane, adoptedSequence: lane.adoptedSequence,
                    records: lane.recordCount, gaps: lane.missingLSNs, quarantined: lane.quarantine?.key,
                    reason: lane.quarantine.map { "\($0.flaw)" })
            },
            clones: (facts?.incarnations ?? []).compactMap { incarnation in
                guard let holder = incarnation.boot, let other = incarnation.contender else { return nil }
                return SiteOverview.Clone(
                    incarnation: incarnation.incarnation, holder: holder.address, refused: other.address,
                    seenMs: other.seenMs)
            })
    }
}
