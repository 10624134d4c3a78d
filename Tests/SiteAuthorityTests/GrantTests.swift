import Testing

@testable import SiteAuthority

@Suite("Permissions to put, and directives") struct GrantTests {
    private let incarnation = String(repeating: "a", count: 32)

    private func grant(_ from: UInt64, _ count: Int, _ mark: String = "x", overwrites: Bool = false) -> PutGrant {
        PutGrant(
            incarnation: incarnation, lane: "bulk", from: from, base: "http://s/b/sites/q/\(incarnation)/bulk/",
            put: "put\(mark)", get: "get\(mark)", putSignatures: (0..<count).map { "p\(mark)\($0)" },
            getSignatures: (0..<count).map { "g\(mark)\($0)" }, seconds: 100, overwrites: overwrites)
    }

    private func put(_ book: GrantBook, _ sequence: UInt64) -> String? {
        book.url(false, false, incarnation: incarnation, lane: "bulk", sequence: sequence)
    }

    @Test("a URL is put together from its parts; outside the grant there is none")
    func urls() {
        var book = GrantBook()
        book.add([grant(5, 3)])
        #expect(
            put(book, 6)
                == "http://s/b/sites/q/\(incarnation)/bulk/00000000000000000006?putx&X-Amz-Signature=px1")
        #expect(
            book.url(true, false, incarnation: incarnation, lane: "bulk", sequence: 7)
                == "http://s/b/sites/q/\(incarnation)/bulk/00000000000000000007?getx&X-Amz-Signature=gx2")
        #expect(put(book, 4) == nil && put(book, 8) == nil && put(book, .max) == nil)
        #expect(book.url(false, true, incarnation: incarnation, lane: "bulk", sequence: 6) == nil)
        #expect(book.url(false, false, incarnation: incarnation, lane: "other", sequence: 6) == nil)
        #expect(book.stock(incarnation: incarnation, lane: "bulk", from: 6) == 2)
        #expect(book.stock(incarnation: incarnation, lane: "bulk", from: 8) == 0)
    }

    @Test("newer ones go first, a refused one is dropped with all of its time, others stay")
    func refusals() throws {
        var book = GrantBook()
        book.add([grant(1, 10, "old"), grant(5, 10, "new"), grant(6, 1, "over", overwrites: true)])
        #expect(put(book, 6)?.contains("putnew") == true)
        #expect(put(book, 2)?.contains("putold") == true)
        book.drop(refused: try #require(put(book, 6)))
        #expect(put(book, 6)?.contains("putold") == true)
        #expect(put(book, 12) == nil)
        #expect(book.url(false, true, incarnation: incarnation, lane: "bulk", sequence: 6)?.contains("putover") == true)
    }

    @Test("memory is bounded, and grants that cannot be are not kept")
    func bounded() {
        var book = GrantBook()
        for index in 0..<100 { book.add([grant(UInt64(index * 3 + 1), 5, "\(index)")]) }
        #expect(book.grants.count <= 4)
        var odd = grant(1, 3)
        odd.getSignatures.removeLast()
        var foreign = grant(1, 3)
        foreign.base = "http://s/b/sites/other/\(incarnation)/standard/"
        var empty = GrantBook()
        empty.add([odd, foreign, grant(.max - 1, 3), grant(1, PutWish.countMax + 1)])
        #expect(empty.grants.isEmpty)
    }

    @Test("directives: what is new is applied, what is gone is taken back, what is unknown is refused with a reason")
    func directives() {
        var set = DirectiveSet()
        var changes = set.told(["log.level": "debug", "lanes.bulk.flush": "2s", "future": "1"], version: 3)
        #expect(changes.map(\.name) == ["lanes.bulk.flush", "log.level"])
        #expect(set.refused.keys.sorted() == ["future"])
        changes = set.told(["log.level": "debug"], version: 3)
        #expect(changes.isEmpty, "the same version")
        changes = set.told(["log.level": "info"], version: 4)
        #expect(changes.map(\.name) == ["lanes.bulk.flush", "log.level"])
        #expect(changes.map(\.isTakenBack) == [true, false])
        set.refuse("log.level", "no")
        set.refuse("not told", "no")
        #expect(set.refused == ["log.level": "no"])
        changes = set.again()
        #expect(changes.map(\.name) == ["log.level"])
        #expect(set.refused.isEmpty)
        changes = set.told(
            Dictionary(uniqueKeysWithValues: (0..<2_000).map { ("topics.t\($0).partitions", "2") }), version: 5)
        #expect(set.values.isEmpty && set.refused.count == 1)
    }
}
