import Cloud
import FoundationEssentials
import SiteAuthority

/// `cairn site list` for people.
enum SiteTableText {
    static func lines(_ sites: [SiteOverview]) -> [String] {
        guard !sites.isEmpty else { return ["no sites"] }
        return sites.flatMap(lines)
    }

    private static func lines(_ site: SiteOverview) -> [String] {
        var lines = ["\(site.site)  \(site.state)" + heard(site)]
        if !site.topics.isEmpty { lines.append("  topics: \(site.topics.joined(separator: ", "))") }
        if !site.lanes.isEmpty { lines.append("  lanes: \(site.lanes.joined(separator: ", "))") }
        for key in site.keys {
            let end = key.expiresMs == 0 ? "" : ", valid until \(time(key.expiresMs))"
            lines.append("  key \(key.generation): \(key.fingerprint)\(end)")
        }
        if let update = site.update { lines.append("  image: \(update.line)") }
        if !site.directives.isEmpty || site.directivesVersion > 0 {
            let applied = site.appliedVersion == site.directivesVersion ? "in force" : "not in force yet"
            lines.append("  told (version \(site.directivesVersion), \(applied)):")
            lines += site.directives.sorted { $0.key < $1.key }.map { name, value in
                "    \(name)=\(value)" + (site.refused[name].map { "  REFUSED: \($0)" } ?? "")
            }
        }
        for lane in site.progress {
            let gaps = lane.gaps > 0 ? ", \(lane.gaps) LSNs missing" : ""
            let name = "\(lane.lane) of \(lane.incarnation.prefix(8))"
            lines.append("  \(name): object \(lane.adoptedSequence), \(lane.records) records\(gaps)")
            if let key = lane.quarantined { lines.append("    QUARANTINED \(key): \(lane.reason ?? "")") }
        }
        for clone in site.clones {
            lines.append(
                "  COPY of \(clone.incarnation.prefix(8)): held by \(clone.holder), "
                    + "refused \(clone.refused) at \(time(clone.seenMs))")
        }
        return lines
    }

    private static func heard(_ site: SiteOverview) -> String {
        guard let address = site.address, let heardMs = site.heardMs else { return "" }
        return "  \(address), heard \(time(heardMs))"
    }

    private static func time(_ ms: Int64) -> String {
        Date(timeIntervalSince1970: Double(ms) / 1000).formatted(.iso8601)
    }
}
