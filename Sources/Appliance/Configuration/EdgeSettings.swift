import Edge
import SiteAuthority
import TransportTLS

/// The settings of a gateway, read and checked: plain values.
struct EdgeSettings: Sendable {
    var site: String
    var dataDirectory: String
    var machine: String
    var http: HostPort?
    var kafka: KafkaSettings
    var groupInitialDelay: Duration
    var topics: [TopicSettings]
    var ntrip: NTRIPSettings?
    var streams: [StreamSettings]
    var lanes: [LaneSettings]
    var wal: WALSettings
    var uplink: UplinkSettings
    var store: StoreSettings?
    var encryption: EncryptionSettings
    /// Nil: the store is used with keys.
    var presignAhead: Int?
    var update: UpdateSettings
    var log: LogSettings

    /// - Parameter prefix: `edge.` where the settings stand under a role, as in `cairn up`.
    init(_ reader: SettingsReader, prefix: String = "") {
        site = reader.text(prefix + "site")
        if !Self.isName(site) { reader.refuse(prefix + "site", "expected 1 to 64 letters, digits, '.', '_' or '-'") }
        dataDirectory = reader.text("data-dir")
        if dataDirectory.isEmpty { reader.refuse("data-dir", "is required") }
        machine = reader.text(prefix + "identity.machine")
        if machine != "auto", machine != "none", !machine.hasPrefix("/") {
            reader.refuse(prefix + "identity.machine", "expected auto, none or the path of a file, got '\(machine)'")
        }
        http = reader.address(prefix + "http.listen")
        kafka = KafkaSettings(reader, prefix: prefix)
        groupInitialDelay = reader.duration(prefix + "kafka.group-initial-delay")
        topics = Self.topics(reader, prefix + "topics")
        ntrip = NTRIPSettings(reader, prefix: prefix + "ntrip.")
        streams = StreamSettings.Role.allCases.flatMap { Self.streams(reader, prefix + $0.setting, role: $0) }
        lanes = LaneSettings.names(reader, prefix: prefix).map {
            LaneSettings(reader, name: $0, prefix: prefix + "lanes.\($0).")
        }
        LaneSettings.check(lanes, reader, prefix: prefix)
        wal = WALSettings(reader, prefix: prefix + "wal.")
        for lane in lanes where lane.quotaBytes < (lane.dropsOldest ? 4 : 2) * lane.segmentBytes(wal) {
            reader.refuse(
                prefix + "lanes.\(lane.name).quota",
                "is below \(lane.dropsOldest ? "four" : "two") segments of \(lane.segmentBytes(wal)) bytes")
        }
        uplink = UplinkSettings(reader, prefix: prefix + "uplink.")
        update = UpdateSettings(reader, prefix: prefix + "update.")
        let isPresigned = prefix.isEmpty && reader.choice("store.mode") == "presigned"
        store =
            prefix.isEmpty
            ? StoreSettings(reader, required: reader.flag("uplink.enabled"), needsKeys: !isPresigned) : nil
        if isPresigned {
            presignAhead = reader.count("store.presign-ahead")
            if uplink.siteKey == nil { reader.refuse("store.mode", "presigned needs uplink.site-key") }
            if case .s3 = store {
            } else if store != nil {
                reader.refuse("store.mode", "presigned needs an s3:// store")
            }
        }
        encryption = EncryptionSettings(reader)
        log = LogSettings(reader)
    }

    /// A name that may stand in an object key.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { isNameByte($0) }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
    }

    private static func topics(_ reader: SettingsReader, _ name: String) -> [TopicSettings] {
        reader.list(name).compactMap { text in
            reader.item(name, text, options: ["partitions"]).map { item in
                let count = reader.option(name, item, "partitions", fallback: 1, in: 1...10_000)
                return TopicSettings(name: item.head, partitions: count)
            }
        }
    }

    private static func streams(
        _ reader: SettingsReader, _ name: String, role: StreamSettings.Role
    ) -> [StreamSettings] {
        reader.list(name).compactMap { text in
            guard let item = reader.item(name, text, options: ["id", "topic", "record"]) else { return nil }
            guard let address = try? SettingValue.address(item.head) else {
                reader.refuse(name, "'\(item.head)': expected host:port, for example 0.0.0.0:5015")
                return nil
            }
            let record = item.options["record"] ?? "epoch"
            guard let granularity = RecordGranularity(rawValue: record) else {
                reader.refuse(name, "record=\(record): expected frame or epoch")
                return nil
            }
            return StreamSettings(
                role: role, address: address, terminalID: item.options["id"],
                topic: item.options["topic"] ?? "gnss.raw",
                record: granularity)
        }
    }
}

/// One record per frame or per epoch.
enum RecordGranularity: String, Sendable {
    case frame, epoch
}

struct KafkaSettings: Sendable {
    var listen: HostPort?
    var advertise: HostPort?
    var connectionsMax: Int
    var batchBytesMax: Int
    var autoCreate: Bool
    var partitions: Int

    init(_ reader: SettingsReader, prefix: String) {
        listen = reader.address(prefix + "kafka.listen")
        advertise = reader.address(prefix + "kafka.advertise")
        connectionsMax = reader.count(prefix + "kafka.connections-max")
        batchBytesMax = reader.size(prefix + "kafka.batch-bytes-max")
        autoCreate = reader.flag(prefix + "kafka.auto-create")
        partitions = reader.count(prefix + "kafka.partitions")
    }
}

struct TopicSettings: Sendable, Equatable {
    var name: String
    var partitions: Int
}

struct NTRIPSettings: Sendable {
    struct Mountpoint: Sendable, Equatable {
        /// `*` stands for every name.
        var name: String
        var password: String
        var topic: String
        var record: RecordGranularity
    }

    var listen: HostPort
    var mountpoints: [Mountpoint]
    var idle: Duration
    var takeover: Duration

    /// Nil when the caster is switched off by an empty address.
    init?(_ reader: SettingsReader, prefix: String) {
        let topic = reader.text(prefix + "topic")
        let record = RecordGranularity(rawValue: reader.choice(prefix + "record")) ?? .epoch
        idle = reader.duration(prefix + "idle")
        takeover = reader.duration(prefix + "takeover")
        if takeover < .seconds(2) {
            reader.refuse(prefix + "takeover", "must be at least 2s: between two epochs a source is silent for 1s")
        }
        mountpoints = reader.list(prefix + "mountpoints").compactMap { text in
            Self.mountpoint(reader, prefix + "mountpoints", text, topic: topic, record: record)
        }
        guard let address = reader.address(prefix + "listen") else { return nil }
        listen = address
    }

    private static func mountpoint(
        _ reader: SettingsReader, _ name: String, _ text: String, topic: String, record: RecordGranularity
    ) -> Mountpoint? {
        guard let item = reader.item(name, text, options: ["topic", "record"]) else { return nil }
        let parts = item.head.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            reader.refuse(name, "an entry is MOUNT:PASSWORD, with * for any mountpoint")
            return nil
        }
        var granularity = record
        if let word = item.options["record"] {
            guard let known = RecordGranularity(rawValue: word) else {
                reader.refuse(name, "record=\(word): expected frame or epoch")
                return nil
            }
            granularity = known
        }
        return Mountpoint(
            name: String(parts[0]), password: String(parts[1]), topic: item.options["topic"] ?? topic,
            record: granularity)
    }
}

/// A socket for bytes of receivers without a protocol around them.
struct StreamSettings: Sendable, Equatable {
    enum Role: Sendable, CaseIterable {
        case tcpListen, tcpConnect, udpListen

        var setting: String {
            switch self {
            case .tcpListen: "tcp.listen"
            case .tcpConnect: "tcp.connect"
            case .udpListen: "udp.listen"
            }
        }
    }

    var role: Role
    var address: HostPort
    var terminalID: String?
    var topic: String
    var record: RecordGranularity
}

struct LaneSettings: Sendable {
    var name: String
    var topics: [String]
    var sources: [String]
    var window: Duration
    var quotaBytes: Int
    var flush: Duration
    var retainBytes: Int
    var dropsOldest: Bool
    /// Nil for never.
    var maxAge: Duration?

    init(_ reader: SettingsReader, name: String, prefix: String) {
        self.name = name
        topics = reader.list(prefix + "topics")
        sources = reader.list(prefix + "sources")
        window = reader.duration(prefix + "window")
        quotaBytes = reader.size(prefix + "quota")
        flush = reader.duration(prefix + "flush")
        retainBytes = reader.size(prefix + "retain")
        dropsOldest = reader.choice(prefix + "full") == "drop-oldest"
        let age = reader.duration(prefix + "max-age")
        maxAge = age > .zero ? age : nil
        if maxAge != nil, !dropsOldest {
            reader.refuse(prefix + "max-age", "needs full: drop-oldest, because a lane that rejects gives nothing up")
        }
        for pattern in topics where (try? TopicPattern(pattern)) == nil {
            reader.refuse(
                prefix + "topics",
                "'\(pattern)': expected letters, digits, '.', '_' and '-' of a topic, * and ?; in a row every ? before one *"
            )
        }
        for pattern in sources where (try? SourcePattern(pattern)) == nil {
            reader.refuse(
                prefix + "sources",
                "'\(pattern)': expected ntrip:, tcp:, udp: or kafka: and a name, * and ?; in a row every ? before one *"
            )
        }
    }
}

/// The files of the write-ahead log.
struct WALSettings: Sendable {
    var segmentBytes: Int
    var eraseBlockBytes: Int
    var scrubBytesPerSecond: Int
    var scrubInterval: Duration

    init(_ reader: SettingsReader, prefix: String) {
        segmentBytes = reader.size(prefix + "segment")
        eraseBlockBytes = reader.size(prefix + "erase-block")
        scrubBytesPerSecond = reader.size(prefix + "scrub-rate")
        scrubInterval = reader.duration(prefix + "scrub-every")
        if eraseBlockBytes % 4096 != 0 { reader.refuse(prefix + "erase-block", "is no multiple of 4096") }
        if eraseBlockBytes > 0, segmentBytes % eraseBlockBytes != 0 {
            reader.refuse(prefix + "segment", "is no multiple of wal.erase-block")
        }
        if scrubInterval <= .zero { reader.refuse(prefix + "scrub-every", "must be above 0") }
    }
}

struct UplinkSettings: Sendable {
    var enabled: Bool
    var objectBytes: Int
    var concurrency: Int
    var announce: [String]
    var siteKey: SiteKey?
    var tls: ClientTLS
    var pacing: UplinkPacingSettings

    init(_ reader: SettingsReader, prefix: String) {
        pacing = UplinkPacingSettings(reader, prefix: prefix)
        enabled = reader.flag(prefix + "enabled")
        objectBytes = reader.size(prefix + "object-bytes")
        concurrency = reader.count(prefix + "concurrency")
        announce = reader.list(prefix + "announce")
        tls = ClientTLS(reader, prefix: prefix)
        if let text = reader.optionalText(prefix + "site-key") {
            siteKey = SiteKey(text)
            if siteKey == nil { reader.refuse(prefix + "site-key", "expected GENERATION:64 hexadecimal digits") }
        }
        for url in announce where !url.hasPrefix("http://") && !url.hasPrefix("https://") {
            reader.refuse(prefix + "announce", "'\(url)': expected http://HOST:PORT or https://HOST:PORT")
        }
        for url in announce where url.hasPrefix("http://") && tls.isUsed {
            reader.refuse(prefix + "announce", "'\(url)': \(prefix)tls-… needs https://")
        }
    }
}

extension SettingsReader {
    /// One entry of a list setting; a malformed one is noted.
    func item(_ name: String, _ text: String, options: Set<String>) -> SettingItem? {
        do {
            return try SettingValue.item(text, options: options)
        } catch {
            refuse(name, error.expected)
            return nil
        }
    }

    func option(
        _ name: String, _ item: SettingItem, _ option: String, fallback: Int, in range: ClosedRange<Int>
    ) -> Int {
        guard let text = item.options[option] else { return fallback }
        do {
            return try SettingValue.count(text, in: range)
        } catch {
            refuse(name, "\(option)=\(text): \(error.expected)")
            return fallback
        }
    }
}
