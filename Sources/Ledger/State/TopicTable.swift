import KafkaProtocol

/// Topics by id and by name.
struct TopicTable: Sendable {
    var all: [KafkaUUID: TopicState] = [:]
    /// By the name with every `.` as `_`: names that differ only there cannot exist side by side.
    private var idByFoldedName: [String: KafkaUUID] = [:]

    static func fold(_ name: String) -> String {
        String(decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
    }

    /// Kafka's rule for topic names.
    static func isValid(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= LedgerLimits.topicNameCharactersMax, name != ".", name != ".." else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    /// The topic whose name is `name` or collides with it.
    func like(_ name: String) -> TopicState? { idByFoldedName[TopicTable.fold(name)].flatMap { all[$0] } }

    func id(named name: String) -> KafkaUUID? {
        guard let topic = like(name), topic.name == name else { return nil }
        return topic.id
    }

    func find(_ reference: TopicReference) -> TopicState? {
        switch reference {
        case .id(let id): all[id]
        case .name(let name): like(name).flatMap { $0.name == name ? $0 : nil }
        }
    }

    func facts(named name: String) -> TopicFacts? { find(.name(name))?.facts }

    func facts(id: KafkaUUID) -> TopicFacts? { all[id]?.facts }

    func partition(_ topicID: KafkaUUID, _ index: Int32) -> PartitionState? {
        guard index >= 0, let topic = all[topicID], Int(index) < topic.partitions.count else { return nil }
        return topic.partitions[Int(index)]
    }

    func exists(_ topicID: KafkaUUID, _ partition: Int32) -> Bool {
        guard let topic = all[topicID] else { return false }
        return partition >= 0 && Int(partition) < topic.partitions.count
    }

    mutating func insert(_ topic: TopicState) {
        idByFoldedName[TopicTable.fold(topic.name)] = topic.id
        all[topic.id] = topic
    }

    mutating func remove(_ id: KafkaUUID) -> TopicState? {
        guard let topic = all.removeValue(forKey: id) else { return nil }
        idByFoldedName[TopicTable.fold(topic.name)] = nil
        return topic
    }

    /// Changes one partition in place. A record that names a partition which is not there has been refused before.
    mutating func update(_ topicID: KafkaUUID, _ partition: Int32, _ change: (inout PartitionState) -> Void) {
        guard exists(topicID, partition) else { return }
        change(&all[topicID]!.partitions[Int(partition)])
    }
}

struct TopicState: Sendable {
    var name: String
    var id: KafkaUUID
    var configs: [String: String]
    var createdMs: Int64
    var partitions: [PartitionState]

    var facts: TopicFacts {
        TopicFacts(
            name: name, id: id, partitionCount: Int32(partitions.count), configs: configs, createdMs: createdMs)
    }
}

struct PartitionState: Sendable {
    var logStart: Int64 = 0
    var highWatermark: Int64 = 0
    var sizeBytes: Int64 = 0
    var extents = ExtentList()
    var producers: [Int64: ProducerEntry] = [:]
    /// Where the open transaction of a producer began here.
    var open: [Int64: Int64] = [:]
    /// In the order of their markers; those that end before the log start are dropped.
    var aborted: [AbortedRange] = []

    /// Above this many producers the least recently used tenth is dropped.
    static let producersMax = 10_000

    var facts: PartitionFacts {
        PartitionFacts(
            logStart: logStart, highWatermark: highWatermark, lastStableOffset: lastStableOffset, sizeBytes: sizeBytes,
            extentCount: extents.count)
    }

    func lastOffset(ofExtent index: Int) -> Int64 {
        (index + 1 < extents.count ? extents[index + 1].baseOffset : highWatermark) &- 1
    }

    mutating func boundProducers() {
        guard producers.count > PartitionState.producersMax else { return }
        let idlest = producers.filter { open[$0.key] == nil }.sorted {
            ($0.value.lastUsedMs, $0.key) < ($1.value.lastUsedMs, $1.key)
        }
        for (id, _) in idlest.prefix(PartitionState.producersMax / 10) { producers[id] = nil }
    }
}

/// What an idempotent producer did last in one partition.
struct ProducerEntry: Sendable, Equatable {
    var sequences: ProducerSequences
    var lastUsedMs: Int64
}
