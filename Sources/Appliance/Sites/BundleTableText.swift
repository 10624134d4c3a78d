import FoundationEssentials

/// `cairn site update --list` for people.
enum BundleTableText {
    private static let sitesMax = 8

    static func lines(_ bundles: [SiteOrderReply.StoredBundle], nowMs: Int64) -> [String] {
        guard !bundles.isEmpty else { return ["no bundles"] }
        return bundles.flatMap { lines($0, nowMs) }
    }

    private static func lines(_ bundle: SiteOrderReply.StoredBundle, _ nowMs: Int64) -> [String] {
        let since = bundle.modifiedMs.map { ", there since \(day($0)) (\(age(nowMs - $0)))" } ?? ""
        return [bundle.key, "  \(LiveScreen.bytes(bundle.sizeBytes))\(since)", "  " + use(bundle)]
    }

    private static func use(_ bundle: SiteOrderReply.StoredBundle) -> String {
        guard let version = bundle.version, !bundle.sites.isEmpty else {
            return bundle.isGoing ? "no site is told it; it is deleted with the next sweep" : "no site is told it"
        }
        let names = bundle.sites.prefix(sitesMax).joined(separator: ", ")
        let rest = bundle.sites.count - sitesMax
        return "version \(version), told to \(names)" + (rest > 0 ? " and \(rest) more" : "")
    }

    private static func age(_ ms: Int64) -> String {
        let hours = max(0, ms) / 3_600_000
        return hours < 48 ? "\(hours) h" : "\(hours / 24) days"
    }

    private static func day(_ ms: Int64) -> String {
        Date(timeIntervalSince1970: Double(ms) / 1000).formatted(.iso8601.year().month().day())
    }
}
