import Ledger

/// Which partitions go on one page of DescribeTopicPartitions. Facts in, a page out.
///
/// Source: Kafka 4.3, `DescribeTopicPartitionsRequestHandler`; KIP-966.
struct TopicPage: Equatable {
    struct Entry: Equatable {
        var name: String
        /// Nil for a topic that is not there.
        var facts: TopicFacts?
        var partitions: Range<Int32>
    }

    /// Where the next page begins.
    struct Cursor: Equatable {
        var topic: String
        var partition: Int32
    }

    /// max.request.partition.size.limit
    static let partitionsMax = 2_000

    private(set) var entries: [Entry] = []
    private(set) var next: Cursor?

    /// - Parameters:
    ///   - names: what was asked for, in any order and more than once; nil for all topics.
    ///   - all: every topic, by name.
    ///   - limit: partitions at most; held to 1 through ``partitionsMax``.
    init(names: [String]?, all: [TopicFacts], from cursor: Cursor?, limit: Int32) {
        let known = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
        let wanted = (names.map { Array(Set($0)) } ?? Array(known.keys)).sorted()
        var room = max(1, min(Int32(Self.partitionsMax), limit))
        for name in wanted where name >= cursor?.topic ?? "" {
            guard room > 0 else {
                next = Cursor(topic: name, partition: 0)
                return
            }
            guard let facts = known[name] else {
                entries.append(Entry(name: name, facts: nil, partitions: 0..<0))
                continue
            }
            let first = name == cursor?.topic ? min(cursor?.partition ?? 0, facts.partitionCount) : 0
            let end = first + min(room, facts.partitionCount - first)
            entries.append(Entry(name: name, facts: facts, partitions: first..<end))
            room -= end - first
            if end < facts.partitionCount {
                next = Cursor(topic: name, partition: end)
                return
            }
        }
    }
}
