import SiteAuthority

/// Which bundles of the store nobody needs any more. Facts in, keys out: no I/O, no clock.
///
/// A bundle goes when all of this holds:
/// - it lies where `cairn site update` puts bundles: nothing else is ever touched;
/// - no site is told it, and none was for `unnamedFor`, as far as this node has seen since its start: a gateway that downloads while its order is
///   replaced or taken back goes on until it hears of that;
/// - the store says that it is older than `keepFor`;
/// - `keepCount` newer ones are there: something to go back to.
struct BundleRule: Sendable {
    struct Bundle: Sendable, Equatable {
        var key: String
        var sizeBytes: Int
        /// Milliseconds since 1970, by the store; nil: it does not say.
        var modifiedMs: Int64?
    }

    var keepCount: Int
    /// Zero: nothing ever goes.
    var keepFor: Duration
    /// When each bundle was last told to a site or asked for, on a clock that starts with the node. What is missing was never seen.
    private var namedAt: [String: Duration] = [:]

    init(keepCount: Int, keepFor: Duration) {
        self.keepCount = keepCount
        self.keepFor = keepFor
    }

    /// A day, unless bundles go sooner anyway.
    var unnamedFor: Duration { min(keepFor, .seconds(86_400)) }

    mutating func named(_ keys: some Sequence<String>, now: Duration) {
        for key in keys { namedAt[key] = now }
    }

    /// Memory for bundles that are gone goes too.
    mutating func forget(allBut keys: Set<String>) {
        namedAt = namedAt.filter { keys.contains($0.key) }
    }

    /// - Parameters:
    ///   - named: keys that sites are told now.
    ///   - now: since the node's start.
    ///   - wallMs: the time of day, which the store's times are compared with.
    func superfluous(_ bundles: [Bundle], named: Set<String>, now: Duration, wallMs: Int64) -> [String] {
        guard keepFor > .zero, now >= unnamedFor else { return [] }
        let own = bundles.filter { Self.isOwn($0.key) }
        // What has no time counts as new.
        let newestFirst = own.sorted { ($0.modifiedMs ?? .max, $0.key) > ($1.modifiedMs ?? .max, $1.key) }
        return newestFirst.dropFirst(keepCount).filter { bundle in
            guard let modifiedMs = bundle.modifiedMs, !named.contains(bundle.key) else { return false }
            let isUnnamed = namedAt[bundle.key].map { now - $0 >= unnamedFor } ?? true
            return isUnnamed && wallMs - modifiedMs > keepFor.wholeMilliseconds
        }.map(\.key)
    }

    /// `updates/<64 hexadecimal digits>/<name>`.
    static func isOwn(_ key: String) -> Bool {
        guard UpdateOrder.isKey(key), key.hasPrefix(UpdateOrder.prefix) else { return false }
        let parts = key.split(separator: "/")
        return parts.count == 3 && parts[1].utf8.count == 64 && MessageCode.bytes(hexadecimal: String(parts[1])) != nil
    }
}
