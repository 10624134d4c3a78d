import KafkaProtocol

/// Sequence state of idempotent producers per topic-partition, bounded: the one unused longest is forgotten first.
struct ProducerTable: Sendable {
    struct Key: Hashable, Sendable, Comparable {
        /// Place in the partition table.
        var partition: Int
        var producerID: Int64

        static func < (left: Key, right: Key) -> Bool {
            (left.partition, left.producerID) < (right.partition, right.producerID)
        }
    }
    struct Row: Sendable {
        var sequences: ProducerSequences
        var lastLSN: UInt64
    }

    let limit: Int
    private(set) var rows: [Key: Row] = [:]

    init(limit: Int) { self.limit = limit }

    var count: Int { rows.count }

    subscript(_ key: Key) -> Row? {
        get { rows[key] }
        set { rows[key] = newValue }
    }

    /// Drops the least recently used producers above the limit, a sixteenth at once so that the cost is spread thin.
    mutating func evict() {
        guard rows.count > limit else { return }
        let surplus = rows.count - limit + limit / 16
        let oldest = rows.sorted { ($0.value.lastLSN, $0.key) < ($1.value.lastLSN, $1.key) }.prefix(surplus)
        for (key, _) in oldest { rows[key] = nil }
    }
}
