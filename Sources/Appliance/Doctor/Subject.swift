import FoundationEssentials
import SiteAuthority
import TransportTLS

/// What the doctor looks at: the settings of either role, reduced to what they ask of the machine and of the network.
struct Subject: Sendable {
    var dataDirectory: String
    var need: DataDirectoryCheck.Need
    /// Where what counts for the quotas lies.
    var log: String
    var listeners: [PortCheck.Listener]
    var connectionsMax: Int
    var console: HostPort?
    /// What it shows of itself, a path or PEM; nil: it speaks plain HTTP.
    var consoleCertificate: String?
    var store: StoreSettings?
    /// The store is used by presigned URLs, which only the cloud gives out.
    var isPresigned = false
    var announce: [String] = []
    /// How announcements are sent; nil in the cloud.
    var uplink: UplinkSettings?
    var site: String?
    var key: SiteKey?
    /// Files that are secret as a whole.
    var secretFiles: [String]
    /// Certificates and authorities of the settings.
    var certificates: [CertificateFindings.Files] = []
    /// Files besides them that the role reads.
    var otherFiles: [String] = []
}

extension Subject {
    init(_ settings: EdgeSettings) {
        let lanes = settings.lanes
        self.init(
            dataDirectory: settings.dataDirectory,
            need: DataDirectoryCheck.Need(
                quotaBytes: lanes.map(\.quotaBytes).reduce(0, +),
                leastBytes: lanes.map { $0.segmentBytes(settings.wal) }.max() ?? 0),
            log: settings.dataDirectory + "/lanes",
            listeners: Self.listeners(settings), connectionsMax: settings.kafka.connectionsMax, console: settings.http,
            store: settings.uplink.enabled ? settings.store : nil, isPresigned: settings.presignAhead != nil,
            announce: settings.uplink.enabled ? settings.uplink.announce : [], uplink: settings.uplink,
            site: settings.site, key: settings.uplink.siteKey,
            secretFiles: [settings.encryption.keyFile].compactMap { $0 })
        add(settings.uplink.tls, "uplink.")
        addStoreTLS()
        if settings.machine.hasPrefix("/") { otherFiles.append(settings.machine) }
    }

    private mutating func add(_ tls: ClientTLS, _ prefix: String) {
        add(prefix + "tls-ca", tls.authorities, .authorities)
        add(prefix + "tls-certificate", tls.certificate, .chain)
        add(key: tls.key)
    }

    private mutating func addStoreTLS() {
        if case .s3(let s3) = store { add(s3.tls, "store.") }
    }

    private mutating func add(_ setting: String, _ text: String?, _ kind: CertificateFindings.Files.Kind) {
        guard let text else { return }
        certificates.append(CertificateFindings.Files(setting: setting, text: text, kind: kind))
    }

    private mutating func add(key: String?) {
        if let key, !key.contains("-----BEGIN ") { secretFiles.append(key) }
    }

    private static func listeners(_ settings: EdgeSettings) -> [PortCheck.Listener] {
        var all: [PortCheck.Listener] = []
        func add(_ setting: String, _ address: HostPort?, isDatagram: Bool = false) {
            guard let address else { return }
            all.append(PortCheck.Listener(setting: setting, address: address, isDatagram: isDatagram))
        }
        add("kafka.listen", settings.kafka.listen)
        add("ntrip.listen", settings.ntrip?.listen)
        add("http.listen", settings.http)
        for stream in settings.streams where stream.role != .tcpConnect {
            add(stream.role.setting, stream.address, isDatagram: stream.role == .udpListen)
        }
        return all
    }

    init(_ settings: CloudSettings) {
        var listeners: [PortCheck.Listener] = []
        if let kafka = settings.kafka.listen {
            listeners.append(PortCheck.Listener(setting: "kafka.listen", address: kafka))
        }
        if let http = settings.http { listeners.append(PortCheck.Listener(setting: "http.listen", address: http)) }
        self.init(
            dataDirectory: settings.dataDirectory,
            need: DataDirectoryCheck.Need(
                quotaBytes: settings.walEnabled ? settings.walQuotaBytes : nil,
                leastBytes: 64 << 20),
            log: settings.walDirectory,
            listeners: listeners, connectionsMax: settings.kafka.connectionsMax, console: settings.http,
            store: settings.store,
            secretFiles: [settings.encryption.keyFile, settings.masterKeyFile].compactMap { $0 })
        if let tls = settings.tls {
            consoleCertificate = tls.certificate
            add("http.tls-certificate", tls.certificate, .chain)
            add("http.tls-client-ca", tls.clientAuthorities, .authorities)
            add(key: tls.key)
        }
        add("sites.announce-ca", settings.announceAuthorities, .authorities)
        addStoreTLS()
    }

    /// Every path that the settings name and the role reads, once.
    var files: [String] {
        let certificates = certificates.map(\.text).filter { !$0.contains("-----BEGIN ") }
        var seen: Set<String> = []
        return (certificates + secretFiles + otherFiles).filter { seen.insert($0).inserted }
    }

    /// Directories outside the data directory that the role writes to.
    var directories: [(setting: String, path: String)] {
        var all: [(String, String)] = []
        if case .directory(let path) = store { all.append(("store.url", path)) }
        if !log.isEmpty, !log.hasPrefix(dataDirectory + "/") { all.append(("wal.dir", log)) }
        return all
    }

    /// Servers with TLS.
    var servers: [CertificateFindings.Server] {
        var all: [CertificateFindings.Server] = []
        func add(_ setting: String, _ text: String, _ tls: ClientTLS, bucket: String? = nil) {
            guard let url = URLComponents(string: text), url.scheme == "https", let host = text.host else { return }
            all.append(
                CertificateFindings.Server(
                    setting: setting, host: bucket.map { $0 + "." + host } ?? host, port: url.port ?? 443, tls: tls))
        }
        if let uplink { for text in announce { add("uplink.announce", text, uplink.tls) } }
        if case .s3(let s3) = store {
            add("store.endpoint", s3.endpoint, s3.tls, bucket: s3.pathStyle ? nil : s3.bucket)
        }
        return all
    }

    /// Names that must be known: of the store and of the cloud nodes.
    var names: [String] {
        var all: [String] = []
        if case .s3(let s3) = store, let host = NetworkCheck.name(ofURL: s3.endpoint) {
            all.append(s3.pathStyle ? host : s3.bucket + "." + host)
        }
        all += announce.compactMap(NetworkCheck.name(ofURL:))
        var seen: Set<String> = []
        return all.filter { seen.insert($0).inserted }
    }

    /// Requests are signed by the clock, or certificates verified by it.
    var needsTime: Bool {
        if case .s3 = store { return true }
        return announce.contains { $0.hasPrefix("https:") }
    }
}
