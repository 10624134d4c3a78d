import SiteAuthority

/// What the doctor looks at: the settings of either role, reduced to what they ask of the machine and of the network.
struct Subject: Sendable {
    var dataDirectory: String
    var need: DataDirectoryCheck.Need
    /// Where what counts for the quotas lies.
    var log: String
    var listeners: [PortCheck.Listener]
    var connectionsMax: Int
    var console: HostPort?
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
