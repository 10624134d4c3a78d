import SiteAuthority

/// What a gateway (`cairn edge`) may be told.
enum EdgeKeys {
    static let lanes = ["critical", "standard", "bulk"]
    static let lanesMax = 16

    static let all = all(lanes: lanes)

    /// With the settings of the lanes that `lanes.names` lists.
    static func all(lanes: [String]) -> [SettingKey] {
        general + listeners + [laneNames] + lanes.flatMap(lane) + log + CommonKeys.store + presigned + uplink + pacing
            + update + CommonKeys.encryption + CommonKeys.log
    }

    static let laneNames = SettingKey(
        "lanes.names", .list, lanes.joined(separator: ","),
        "Lanes, most urgent first, at most \(lanesMax); each has the settings below. Names: [a-z0-9-], at most 32.")

    private static let general: [SettingKey] = [
        SettingKey("site", .text, "", "Name of this site, [A-Za-z0-9._-], the prefix of its objects. Required."),
        SettingKey("data-dir", .text, "", "Directory of the write-ahead log. Required."),
        SettingKey(
            "identity.machine", .text, "auto",
            "What the data directory is bound to: auto (machine-id and board serial), none, or a file that names the machine."
        ),
        SettingKey("http.listen", .address, "127.0.0.1:9645", "Status page, /health and /metrics. Empty: off."),
    ]

    private static let listeners: [SettingKey] = [
        SettingKey("kafka.listen", .address, "127.0.0.1:9092", "Kafka protocol, for producers and local readers."),
        SettingKey("kafka.advertise", .address, "", "host:port that clients are told. Empty: the listen address."),
        SettingKey("kafka.connections-max", .count(1...100_000), "1000", "Connections beyond this are closed at once."),
        SettingKey(
            "kafka.batch-bytes-max", .size(1024...(64 << 20)), "1048588", "Largest record batch (max.message.bytes)."),
        SettingKey("kafka.auto-create", .flag, "true", "Create a topic when a producer first names it."),
        SettingKey(
            "kafka.partitions", .count(1...10_000), "1", "Partitions of a topic that is not listed under topics."),
        SettingKey(
            "kafka.group-initial-delay", .duration, "3s",
            "group.initial.rebalance.delay.ms: wait for more members of a new group."),
        SettingKey("topics", .list, "", "Topics known from the start: NAME partitions=N"),
        SettingKey(
            "ntrip.listen", .address, "127.0.0.1:2101", "NTRIP caster for sources (v1 SOURCE, v2 POST). Empty: off."),
        SettingKey(
            "ntrip.mountpoints", .secretList, "",
            "Mountpoints and their passwords: MOUNT:PASSWORD topic=T record=frame|epoch"),
        SettingKey("ntrip.topic", .text, "gnss.rtcm", "Topic of mountpoints that name none."),
        SettingKey("ntrip.record", .choice(["frame", "epoch"]), "epoch", "One record per frame or per epoch."),
        SettingKey("ntrip.idle", .duration, "60s", "A source that is silent for so long is closed."),
        SettingKey(
            "ntrip.takeover", .duration, "10s",
            "A source that comes for a mountpoint takes it from one that is silent for so long, never from one that sends."
        ),
        SettingKey("tcp.listen", .list, "", "Raw TCP from receivers: HOST:PORT id=NAME topic=T record=frame|epoch"),
        SettingKey("tcp.connect", .list, "", "Receivers to connect to: HOST:PORT id=NAME topic=T record=frame|epoch"),
        SettingKey("udp.listen", .list, "", "Raw UDP from terminals: HOST:PORT id=NAME topic=T record=frame|epoch"),
    ]

    private static func lane(_ name: String) -> [SettingKey] {
        let window = ["critical": "1ms", "standard": "10ms", "bulk": "50ms"][name] ?? "10ms"
        let flush = ["critical": "1s", "standard": "5s", "bulk": "30s"][name] ?? "5s"
        let topics = ["critical": "gnss.*", "standard": "*", "bulk": "log.*,logs.*"][name] ?? ""
        return [
            SettingKey(
                "lanes.\(name).topics", .list, topics,
                "Topics of this lane: names, with * and ? anywhere. The most special match wins; * is the lane of all others."
            ),
            SettingKey(
                "lanes.\(name).sources", .list, "",
                "Sources of this lane, before topics: ntrip:MOUNT, tcp:ID, udp:ID, kafka:CLIENT-ID, with * and ? anywhere."
            ),
            SettingKey("lanes.\(name).window", .duration, window, "Group commit at most every so often under load."),
            SettingKey(
                "lanes.\(name).quota", .size((8 << 20)...(1 << 44)), "4GiB",
                "Disk that the lane may use; see full."),
            SettingKey(
                "lanes.\(name).full", .choice(["reject", "drop-oldest"]), "reject",
                "A full lane rejects new data, or gives up its oldest, which the cloud is told as a gap (cairn gaps)."),
            SettingKey(
                "lanes.\(name).max-age", .duration, "0s",
                "With drop-oldest: data that has waited longer for its upload is given up. 0s: never."),
            SettingKey(
                "lanes.\(name).flush", .duration, flush, "An object is uploaded at least so often while data comes."),
            SettingKey("lanes.\(name).retain", .size(0...(1 << 44)), "256MiB", "Uploaded data kept for local readers."),
        ]
    }

    private static let log: [SettingKey] = [
        SettingKey(
            "wal.segment", .size((1 << 20)...(1 << 30)), "64MiB",
            "Size of a log file. A lane's quota holds at least two."),
        SettingKey(
            "wal.erase-block", .size(4096...(64 << 20)), "4MiB",
            "Erase block of the flash; wal.segment is a multiple of it."),
        SettingKey(
            "wal.scrub-rate", .size(0...(1 << 30)), "1MiB",
            "Bytes a second of closed log files that are read again to find rot, per lane. 0: off."),
        SettingKey("wal.scrub-every", .duration, "24h", "A round over all closed log files starts so often."),
    ]

    private static let presigned: [SettingKey] = [
        SettingKey(
            "store.mode", .choice(["keys", "presigned"]), "keys",
            "presigned: no store keys here; the cloud permits each object by a presigned URL (needs uplink.site-key)."),
        SettingKey(
            "store.presign-ahead", .count(8...PutWish.countMax), "500",
            "Objects of each lane that are permitted ahead, for an outage of the cloud while the store can be reached."),
    ]

    private static let uplink: [SettingKey] = [
        SettingKey("uplink.enabled", .flag, "true", "Upload to the store. Off: a gateway that only keeps."),
        SettingKey(
            "uplink.object-bytes", .size((256 << 10)...(32 << 20)), "8MiB",
            "An object is closed at this size in normal times."),
        SettingKey(
            "uplink.concurrency", .count(1...16), "3", "Uploads under way at once; each may hold 64 MiB of memory."),
        SettingKey(
            "uplink.announce", .list, "", "Cloud nodes to tell of new objects: http://HOST:PORT, tried in turn."),
        SettingKey(
            "uplink.tls-ca", .text, "",
            "Authorities that sign the cloud nodes' certificates: a PEM file, or PEM. Empty: those the system trusts."),
        SettingKey(
            "uplink.tls-certificate", .text, "", "Shown to cloud nodes that ask for one: a PEM file, or PEM."),
        SettingKey("uplink.tls-key", .secret, "", "Its private key: a PEM file, or PEM."),
        SettingKey(
            "uplink.tls-dates", .choice(["system", "known", "ignore-unknown"]), "system",
            "Dates of certificates are judged by the system's clock; known: by the newest time that has certainly passed, and ignore-unknown: not at all, while that clock cannot be right. Both need tls-ca."
        ),
        SettingKey(
            "uplink.site-key", .secret, "",
            "Signs announcements in the name of the site; 'cairn site add' gives it. Replies must then be signed too."),
    ]
}

/// What both roles may be told.
enum CommonKeys {
    static let log: [SettingKey] = [
        SettingKey(
            "log.level", .choice(["trace", "debug", "info", "notice", "warning", "error"]), "info",
            "Least severe line that is written."),
        SettingKey(
            "log.format", .choice(["text", "json"]), "text", "Lines on standard error, or one JSON object a line."),
    ]

    static let store: [SettingKey] = [
        SettingKey(
            "store.url", .text, "", "Where objects live: dir:/path or s3://bucket or s3://bucket/prefix. Required."),
        SettingKey("store.endpoint", .text, "", "URL of the S3 server; empty: AWS in store.region."),
        SettingKey("store.region", .text, "us-east-1", "Region that requests are signed for."),
        SettingKey(
            "store.tls-ca", .text, "",
            "Authorities that sign the S3 server's certificate: a PEM file, or PEM. Empty: those the system trusts."),
        SettingKey("store.tls-certificate", .text, "", "Shown to an S3 server that asks for one: a PEM file, or PEM."),
        SettingKey("store.tls-key", .secret, "", "Its private key: a PEM file, or PEM."),
        SettingKey(
            "store.tls-dates", .choice(["system", "known", "ignore-unknown"]), "system",
            "Dates of certificates are judged by the system's clock; known: by the newest time that has certainly passed, and ignore-unknown: not at all, while that clock cannot be right. Both need tls-ca."
        ),
        SettingKey("store.path-style", .flag, "false", "Bucket in the path instead of the host name."),
        SettingKey("store.access-key", .text, "", "S3 access key id."),
        SettingKey("store.secret-key", .secret, "", "S3 secret access key; better in the environment than here."),
        SettingKey("store.session-token", .secret, "", "S3 session token of temporary credentials."),
    ]

    static let encryption: [SettingKey] = [
        SettingKey(
            "encryption.key-file", .text, "",
            "Keys of 'cairn key'; credential:NAME is one of systemd's. Turns encryption at rest on. Empty: off."),
        SettingKey(
            "encryption.objects", .flag, "true",
            "With a key file: seal new objects. Off: only open those that are sealed."),
        SettingKey(
            "encryption.log", .flag, "true",
            "With a key file: seal the write-ahead log. Off: only open what is sealed."),
    ]
}
