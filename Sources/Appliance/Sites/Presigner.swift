import Cloud
import ObjectStore
import SharedObject
import SiteAuthority

/// Permissions to put for gateways without keys: presigned URLs of the cloud's own store, for the objects that come next.
struct Presigner {
    let store: OpenedStore
    let sites: SiteRegistry
    let validSeconds: Int

    /// What of the wishes is granted: only lanes of the site that it may use, only objects that are not adopted yet.
    func grants(site: String, _ wishes: [String: PutWish], nowMs: Int64) -> [PutGrant] {
        wishes.sorted { $0.key < $1.key }.prefix(64).flatMap { lane, wish -> [PutGrant] in
            guard ObjectKeys.isName(lane), ObjectKeys.isIncarnation(wish.incarnation), sites.mayUse(site, lane: lane)
            else { return [] }
            let adopted = sites.adopted(site: site, incarnation: wish.incarnation)[lane] ?? 0
            var found: [PutGrant] = []
            if let grant = grant(site, lane, wish, from: max(wish.from, adopted + 1), nowMs) { found.append(grant) }
            if let torn = wish.replacing, torn > adopted, torn < UInt64(Int64.max),
                let grant = grant(
                    site, lane, PutWish(incarnation: wish.incarnation, from: torn, count: 1), from: torn, nowMs,
                    overwrites: true)
            {
                found.append(grant)
            }
            return found
        }
    }

    private func grant(
        _ site: String, _ lane: String, _ wish: PutWish, from: UInt64, _ nowMs: Int64, overwrites: Bool = false
    ) -> PutGrant? {
        let count = min(wish.count, PutWish.countMax)
        guard count >= 1, from >= 1, from < UInt64(Int64.max) - UInt64(count) else { return nil }
        let prefix = ObjectKeys.lanePrefix(site: site, incarnation: wish.incarnation, lane: lane)
        // A short time for what can destroy: nobody needs it for longer than one attempt or two.
        let seconds = overwrites ? min(validSeconds, 900) : validSeconds
        var grant: PutGrant?
        for sequence in from..<(from + UInt64(count)) {
            let key = ObjectKeys.site(site: site, incarnation: wish.incarnation, lane: lane, sequence: sequence)
            guard
                let put = store.presigned(overwrites ? .overwrite : .create, key, seconds, nowMs),
                let get = store.presigned(.read, key, seconds, nowMs)
            else { return nil }
            var present =
                grant
                ?? PutGrant(
                    incarnation: wish.incarnation, lane: lane, from: from, base: "", put: put.query, get: get.query,
                    putSignatures: [], getSignatures: [], seconds: seconds, overwrites: overwrites)
            guard let end = put.address.range(ofSuffix: key.dropFirst(prefix.count)) else { return nil }
            present.base = String(put.address[..<end])
            present.putSignatures.append(put.signature)
            present.getSignatures.append(get.signature)
            grant = present
        }
        return grant
    }
}

extension String {
    /// Where the end begins, if it is this one.
    fileprivate func range(ofSuffix suffix: Substring) -> String.Index? {
        hasSuffix(suffix) ? index(endIndex, offsetBy: -suffix.count) : nil
    }
}
