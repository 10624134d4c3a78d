import KafkaProtocol
import Ledger
import Testing

@testable import Cloud

@Suite("Pages of topics")
struct TopicPageTests {
    private static func facts(_ name: String, _ partitions: Int32) -> TopicFacts {
        TopicFacts(
            name: name, id: KafkaUUID(high: 1, low: UInt64(name.utf8.count)), partitionCount: partitions, configs: [:],
            createdMs: 0)
    }

    private static let all = [facts("a", 3), facts("b", 0), facts("c", 5)]

    @Test("pages one after the other give every partition once, whatever their size", arguments: 1...9)
    func pages(limit: Int32) {
        var found: [String: [Int32]] = [:]
        var cursor: TopicPage.Cursor?
        for _ in 0..<20 {
            let page = TopicPage(names: nil, all: Self.all, from: cursor, limit: limit)
            #expect(page.entries.reduce(0) { $0 + $1.partitions.count } <= Int(limit))
            for entry in page.entries { found[entry.name, default: []] += Array(entry.partitions) }
            cursor = page.next
            if cursor == nil { break }
        }
        #expect(cursor == nil)
        #expect(found == ["a": [0, 1, 2], "b": [], "c": [0, 1, 2, 3, 4]])
    }

    @Test("named topics come sorted and once, a missing one too")
    func named() {
        let page = TopicPage(names: ["c", "x", "c", "a"], all: Self.all, from: nil, limit: 2_000)
        #expect(page.entries.map(\.name) == ["a", "c", "x"])
        #expect(page.entries.map(\.facts?.partitionCount) == [3, 5, nil])
        #expect(page.next == nil)
    }

    @Test("a limit that is none counts as one; a cursor in a topic that went goes on after it")
    func odd() {
        let least = TopicPage(names: nil, all: Self.all, from: nil, limit: -7)
        #expect(least.next == .init(topic: "a", partition: 1))
        let gone = TopicPage(names: nil, all: Self.all, from: .init(topic: "aa", partition: 7), limit: 2_000)
        #expect(gone.entries.map(\.partitions) == [0..<0, 0..<5])
        let shrunk = TopicPage(names: ["a"], all: Self.all, from: .init(topic: "a", partition: 99), limit: 10)
        #expect(shrunk.entries.map(\.partitions) == [3..<3])
    }
}
