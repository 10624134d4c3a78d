/// The one file that makes a gateway of a fresh machine: settings as `cairn edge --config` reads them. Holds secrets.
struct ProvisioningBundle: Sendable {
    var site: String
    var key: String
    var announce: [String]
    /// Of the cloud nodes, PEM.
    var authorities: String?
    var store: SiteOrderReply.Store
    /// Nil: the gateway asks the cloud for permission to put each object, and holds no keys.
    var accessKey: String?
    var secretKey: String?
    var dataDirectory: String
    var topics: [String]

    var yaml: String {
        var lines = [
            "# Gateway of site \(site). Keep it secret: whoever has it can write in the site's name.",
            "# Start with: cairn edge --config THIS-FILE. 'cairn config example edge' shows all other settings.",
            "# Topics the cloud takes from this site: \(topics.joined(separator: ", "))",
            "site: \(Self.quoted(site))",
            "data-dir: \(Self.quoted(dataDirectory))",
            "uplink:",
            "  announce: [\(announce.map(Self.quoted).joined(separator: ", "))]",
            "  site-key: \(Self.quoted(key))",
        ]
        if let authorities { lines.append("  tls-ca: \(Self.quoted(authorities))") }
        lines += ["store:", "  url: \(Self.quoted(store.url))"]
        if let authorities = store.authorities { lines.append("  tls-ca: \(Self.quoted(authorities))") }
        if store.url.hasPrefix("s3:") {
            lines += [
                "  endpoint: \(Self.quoted(store.endpoint))", "  region: \(Self.quoted(store.region))",
                "  path-style: \(store.pathStyle)",
            ]
            if let accessKey, let secretKey {
                lines += [
                    "  access-key: \(Self.quoted(accessKey))", "  secret-key: \(Self.quoted(secretKey))",
                ]
            } else {
                lines.append("  mode: presigned")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// YAML's double quotes take JSON's escapes.
    private static func quoted(_ text: String) -> String { LogLines.quoted(text) }
}
