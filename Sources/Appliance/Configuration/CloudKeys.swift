/// What a cloud node (`cairn cloud`) may be told.
enum CloudKeys {
    static let all: [SettingKey] =
        general + sites + kafka + data + CommonKeys.store + CommonKeys.encryption + CommonKeys.log

    private static let general: [SettingKey] = [
        SettingKey("data-dir", .text, "", "Directory of the ledger. Required."),
        SettingKey("node-id", .count(0...1_000_000), "1", "Number of this node, as Kafka clients see it."),
        SettingKey("http.listen", .address, "127.0.0.1:9644", "Announcements, status page, /health and /metrics."),
        SettingKey(
            "http.tls-certificate", .text, "",
            "Certificate and chain, a PEM file: http.listen speaks TLS. A changed file is used within 5 s. Empty: plain HTTP."
        ),
        SettingKey("http.tls-key", .secret, "", "Its private key, a PEM file."),
        SettingKey(
            "http.tls-client-ca", .text, "",
            "Authorities of clients' certificates, a PEM file: who has none of theirs is refused. Empty: any client."),
        SettingKey(
            "http.admin-token", .secret, "",
            "Needed to administer sites over http.listen. Empty: only connections from this machine may."),
    ]

    private static let sites: [SettingKey] = [
        SettingKey(
            "sites.open", .flag, "true",
            "Take sites as they come. Off: only those that 'cairn site add' registered, with signed announcements."),
        SettingKey(
            "sites.master-key-file", .text, "",
            "Secret from which the sites' keys are made, the same on all nodes. Empty: master.key in data-dir, made at need."
        ),
        SettingKey(
            "sites.announce", .list, "",
            "What provisioning bundles tell gateways: http://HOST:PORT or https://HOST:PORT of cloud nodes."),
        SettingKey(
            "sites.announce-ca", .text, "",
            "Authorities of these addresses, a PEM file: goes into provisioning bundles, as store.tls-ca does."),
        SettingKey(
            "sites.presign-valid", .duration, "7d",
            "How long URLs for gateways without keys are good; S3 allows 7 days, temporary credentials less."),
        SettingKey(
            "updates.keep-for", .duration, "90d",
            "A bundle under updates/ that no site is told goes after so long. 0s: never."),
        SettingKey("updates.keep", .count(0...1000), "5", "So many of the newest bundles always stay."),
        SettingKey("updates.sweep-every", .duration, "6h", "How often such bundles are looked for."),
    ]

    private static let kafka: [SettingKey] = [
        SettingKey("kafka.listen", .address, "127.0.0.1:9093", "Kafka protocol, for every client."),
        SettingKey("kafka.advertise", .address, "", "host:port that clients are told. Empty: the listen address."),
        SettingKey("kafka.connections-max", .count(1...100_000), "5000", "Connections beyond this are closed at once."),
        SettingKey("kafka.batch-bytes-max", .size(1024...(64 << 20)), "1048588", "Default of max.message.bytes."),
        SettingKey("kafka.auto-create", .flag, "true", "Create a topic when a client first names it."),
        SettingKey(
            "kafka.partitions", .count(1...10_000), "1", "Partitions of a topic that was created without a number."),
        SettingKey(
            "kafka.group-initial-delay", .duration, "3s",
            "group.initial.rebalance.delay.ms: wait for more members of a new group."),
    ]

    private static let data: [SettingKey] = [
        SettingKey(
            "produce.interval", .duration, "250ms", "A shared object is written at least so often while data comes."),
        SettingKey(
            "produce.object-bytes", .size((64 << 10)...(32 << 20)), "8MiB", "A shared object is written at this size."),
        SettingKey(
            "produce.ack", .choice(["object", "wal"]), "object",
            "Default of the topic option cairn.ack: what has a batch before it is acknowledged."),
        SettingKey(
            "wal.enabled", .flag, "true",
            "Keep a log on this node's disk, for topics of cairn.ack=wal: acks in milliseconds."),
        SettingKey("wal.dir", .text, "", "Directory of that log. Empty: wal in data-dir."),
        SettingKey(
            "wal.quota", .size((256 << 20)...(1 << 50)), "8GiB",
            "What an outage of the store may fill before produces are refused."),
        SettingKey("wal.upload-interval", .duration, "5s", "What the log holds goes into an object after this, ..."),
        SettingKey("wal.object-bytes", .size((1 << 20)...(256 << 20)), "16MiB", "... or at this size."),
        SettingKey(
            "wal.uploads-max", .count(1...64), "4",
            "Objects of the log on their way at a time. A store far away wants more, one on the log's own disk fewer."),
        SettingKey(
            "wal.tail-bytes", .size((1 << 20)...(1 << 40)), "128MiB", "Memory for the newest batches of the log."),
        SettingKey(
            "transaction.timeout-max", .duration, "15m",
            "transaction.max.timeout.ms: the longest that a producer may ask."),
        SettingKey(
            "fetch.cache-bytes", .size((1 << 20)...(1 << 40)), "256MiB",
            "Memory for blocks of objects that readers use."),
        SettingKey("retention.default", .duration, "7d", "Default of retention.ms."),
        SettingKey("retention.interval", .duration, "60s", "How often expired data is looked for."),
        SettingKey("retention.grace", .duration, "10m", "An object nobody names is deleted after this."),
        SettingKey("housekeeping.enabled", .flag, "true", "Compact topics that ask for it, and merge small objects."),
        SettingKey("housekeeping.interval", .duration, "60s", "How often there is a look at what to rewrite."),
        SettingKey(
            "housekeeping.bytes-per-second", .size((64 << 10)...(1 << 40)), "32MiB",
            "What rewriting reads from the store at most."),
        SettingKey("housekeeping.merge-after", .duration, "10m", "Small objects are merged when they are so old."),
        SettingKey(
            "adoption.interval", .duration, "5m", "How often each site's objects are listed, besides announcements."),
    ]
}
