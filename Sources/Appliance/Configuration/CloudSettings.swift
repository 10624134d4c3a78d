import Cloud
import TransportTLS

/// The settings of a cloud node, read and checked: plain values.
struct CloudSettings: Sendable {
    var dataDirectory: String
    var nodeID: Int
    var http: HostPort?
    var kafka: KafkaSettings
    var groupInitialDelay: Duration
    var produceInterval: Duration
    var produceObjectBytes: Int
    var ack: AckMode
    var walEnabled: Bool
    /// Empty for the usual place in the data directory.
    var walChosenDirectory: String
    var walQuotaBytes: Int
    var walUploadInterval: Duration
    var walObjectBytes: Int
    var walUploadsMax: Int
    var walTailBytes: Int
    var transactionTimeoutMax: Duration
    var cacheBytes: Int
    var retentionDefault: Duration
    var retentionInterval: Duration
    var retentionGrace: Duration
    var housekeepingEnabled: Bool
    var housekeepingInterval: Duration
    var housekeepingBytesPerSecond: Int
    var mergeAfter: Duration
    var adoptionInterval: Duration
    var sitesOpen: Bool
    /// Empty for the usual place in the data directory.
    var chosenMasterKeyFile: String
    var sitesAnnounce: [String]
    var presignValid: Duration
    /// So many bundles of updates always stay.
    var bundlesKeep: Int
    /// Zero: all stay.
    var bundlesKeepFor: Duration
    var bundlesSweep: Duration
    var adminToken: String?
    /// Nil: plain HTTP.
    var tls: ServerTLS?
    /// PEM; nil: gateways trust what their system trusts.
    var announceAuthorities: String?
    var store: StoreSettings?
    var encryption: EncryptionSettings
    var log: LogSettings

    /// - Parameter prefix: `cloud.` where the settings stand under a role, as in `cairn up`.
    init(_ reader: SettingsReader, prefix: String = "") {
        dataDirectory = reader.text("data-dir")
        if dataDirectory.isEmpty { reader.refuse("data-dir", "is required") }
        nodeID = reader.count(prefix + "node-id")
        http = reader.address(prefix + "http.listen")
        kafka = KafkaSettings(reader, prefix: prefix)
        groupInitialDelay = reader.duration(prefix + "kafka.group-initial-delay")
        produceInterval = reader.duration(prefix + "produce.interval")
        produceObjectBytes = reader.size(prefix + "produce.object-bytes")
        ack = AckMode(rawValue: reader.choice(prefix + "produce.ack")) ?? .object
        walEnabled = reader.flag(prefix + "wal.enabled")
        walChosenDirectory = reader.text(prefix + "wal.dir")
        walQuotaBytes = reader.size(prefix + "wal.quota")
        walUploadInterval = reader.duration(prefix + "wal.upload-interval")
        walObjectBytes = reader.size(prefix + "wal.object-bytes")
        walUploadsMax = reader.count(prefix + "wal.uploads-max")
        walTailBytes = reader.size(prefix + "wal.tail-bytes")
        transactionTimeoutMax = reader.duration(prefix + "transaction.timeout-max")
        if ack == .wal, !walEnabled { reader.refuse(prefix + "produce.ack", "is wal, and wal.enabled is false") }
        cacheBytes = reader.size(prefix + "fetch.cache-bytes")
        retentionDefault = reader.duration(prefix + "retention.default")
        retentionInterval = reader.duration(prefix + "retention.interval")
        retentionGrace = reader.duration(prefix + "retention.grace")
        housekeepingEnabled = reader.flag(prefix + "housekeeping.enabled")
        housekeepingInterval = reader.duration(prefix + "housekeeping.interval")
        housekeepingBytesPerSecond = reader.size(prefix + "housekeeping.bytes-per-second")
        mergeAfter = reader.duration(prefix + "housekeeping.merge-after")
        adoptionInterval = reader.duration(prefix + "adoption.interval")
        sitesOpen = reader.flag(prefix + "sites.open")
        chosenMasterKeyFile = reader.text(prefix + "sites.master-key-file")
        sitesAnnounce = reader.list(prefix + "sites.announce")
        presignValid = reader.duration(prefix + "sites.presign-valid")
        if presignValid < .seconds(10) || presignValid > .seconds(604_800) {
            reader.refuse(prefix + "sites.presign-valid", "10s to 7d")
        }
        bundlesKeep = reader.count(prefix + "updates.keep")
        bundlesKeepFor = reader.duration(prefix + "updates.keep-for")
        bundlesSweep = reader.duration(prefix + "updates.sweep-every")
        if bundlesSweep < .seconds(1) { reader.refuse(prefix + "updates.sweep-every", "must be at least 1s") }
        adminToken = reader.optionalText(prefix + "http.admin-token")
        tls = ServerTLS(reader, prefix: prefix + "http.")
        announceAuthorities = reader.pem(prefix + "sites.announce-ca")
        store = prefix.isEmpty ? StoreSettings(reader, required: true) : nil
        encryption = EncryptionSettings(reader)
        log = LogSettings(reader)
    }
}

extension CloudSettings {
    /// Of the node's own log; empty for a node without one.
    var walDirectory: String {
        guard walEnabled else { return "" }
        return walChosenDirectory.isEmpty ? dataDirectory + "/wal" : walChosenDirectory
    }

    var masterKeyFile: String { chosenMasterKeyFile.isEmpty ? dataDirectory + "/master.key" : chosenMasterKeyFile }
}

/// Where objects live.
enum StoreSettings: Sendable {
    struct S3: Sendable {
        var bucket: String
        /// Without slashes at its ends; may be empty.
        var prefix: String
        var endpoint: String
        var region: String
        var pathStyle: Bool
        var accessKey: String
        var secretKey: String
        var sessionToken: String?
        var tls: ClientTLS
    }

    case directory(path: String)
    case s3(S3)
    /// The newest objects in memory, for benches.
    case stub(bytesMax: Int)

    /// Nil, with the problem noted, when it cannot be read.
    init?(_ reader: SettingsReader, required: Bool, needsKeys: Bool = true) {
        let url = reader.text("store.url")
        if url.hasPrefix("dir:"), url.count > 4 {
            self = .directory(path: String(url.dropFirst(4)))
        } else if url.hasPrefix("s3://"), let s3 = S3(reader, url: url, needsKeys: needsKeys) {
            self = .s3(s3)
        } else if url == "stub:" {
            self = .stub(bytesMax: 256 << 20)
        } else {
            if required || !url.isEmpty {
                reader.refuse("store.url", "expected dir:/path, s3://bucket or s3://bucket/prefix, got '\(url)'")
            }
            return nil
        }
    }
}

extension StoreSettings.S3 {
    fileprivate init?(_ reader: SettingsReader, url: String, needsKeys: Bool) {
        let parts = url.dropFirst(5).split(separator: "/", maxSplits: 1).map(String.init)
        guard let bucket = parts.first else { return nil }
        self.bucket = bucket
        prefix = parts.count > 1 ? parts[1].split(separator: "/").joined(separator: "/") : ""
        region = reader.text("store.region")
        endpoint = reader.optionalText("store.endpoint") ?? "https://s3.\(region).amazonaws.com"
        pathStyle = reader.flag("store.path-style")
        accessKey = reader.text("store.access-key")
        secretKey = reader.text("store.secret-key")
        sessionToken = reader.optionalText("store.session-token")
        tls = ClientTLS(reader, prefix: "store.")
        if tls.isUsed, endpoint.hasPrefix("http://") {
            reader.refuse("store.endpoint", "'\(endpoint)': store.tls-… needs https://")
        }
        for (name, value) in [("store.access-key", accessKey), ("store.secret-key", secretKey)]
        where value.isEmpty && needsKeys {
            reader.refuse(name, "is required for an s3:// store")
        }
        if !endpoint.hasPrefix("http://") && !endpoint.hasPrefix("https://") {
            reader.refuse("store.endpoint", "expected a URL such as https://s3.example.org, got '\(endpoint)'")
        }
    }
}

struct LogSettings: Sendable {
    var level: String
    var json: Bool

    init(_ reader: SettingsReader) {
        level = reader.choice("log.level")
        json = reader.choice("log.format") == "json"
    }
}
