import Testing

@testable import Appliance

@Suite("Which bundles of updates may go")
struct BundleRuleTests {
    static let day = Duration.seconds(86_400)
    static let dayMs: Int64 = 86_400_000
    static let nowMs: Int64 = 1_790_000_000_000

    static func key(_ number: Int) -> String {
        "updates/\(String(repeating: String(number % 10), count: 64))/cairn-\(number).raucb"
    }

    /// One bundle for each age in days; the first has number 0.
    static func bundles(_ days: [Int64]) -> [BundleRule.Bundle] {
        days.enumerated().map { index, age in
            BundleRule.Bundle(key: key(index), sizeBytes: 1, modifiedMs: nowMs - age * dayMs)
        }
    }

    static func going(
        _ rule: BundleRule, _ bundles: [BundleRule.Bundle], named: Set<String> = [], now: Duration = day * 2
    ) -> [String] {
        rule.superfluous(bundles, named: named, now: now, wallMs: nowMs)
    }

    @Test("old and beyond the newest ones, both")
    func ageAndCount() {
        let rule = BundleRule(keepCount: 2, keepFor: Self.day * 90)
        #expect(Self.going(rule, Self.bundles([91, 92, 1, 93])) == [Self.key(1), Self.key(3)])
        #expect(Self.going(rule, Self.bundles([91, 92])) == [])
        #expect(Self.going(rule, Self.bundles([1, 2, 90])) == [])
        #expect(Self.going(rule, Self.bundles([1, 2, 91])) == [Self.key(2)])
    }

    @Test("what a site is told never goes, however old")
    func named() {
        let rule = BundleRule(keepCount: 0, keepFor: Self.day)
        let bundles = Self.bundles([400, 300])
        #expect(Self.going(rule, bundles, named: [Self.key(0)]) == [Self.key(1)])
        #expect(Self.going(rule, bundles, named: [Self.key(0), Self.key(1)]) == [])
    }

    @Test("what was told goes a day after it was taken back: somebody may still fetch it")
    func unnamed() {
        var rule = BundleRule(keepCount: 0, keepFor: Self.day * 90)
        let bundles = Self.bundles([400])
        rule.named([Self.key(0)], now: Self.day * 5)
        #expect(Self.going(rule, bundles, now: Self.day * 5 + .seconds(86_399)) == [])
        #expect(Self.going(rule, bundles, now: Self.day * 6) == [Self.key(0)])
        rule.named([Self.key(0)], now: Self.day * 7)
        rule.forget(allBut: [Self.key(0)])
        #expect(Self.going(rule, bundles, now: Self.day * 7) == [])
        rule.forget(allBut: [])
        #expect(Self.going(rule, bundles, now: Self.day * 7) == [Self.key(0)])
    }

    @Test("a node that has just started does not know who was told what before")
    func start() {
        let rule = BundleRule(keepCount: 0, keepFor: Self.day * 90)
        #expect(Self.going(rule, Self.bundles([400]), now: .seconds(86_399)) == [])
        #expect(Self.going(rule, Self.bundles([400]), now: Self.day) == [Self.key(0)])
    }

    @Test("nothing goes when it is switched off, and nothing of which the store has no time")
    func never() {
        #expect(Self.going(BundleRule(keepCount: 0, keepFor: .zero), Self.bundles([9000])) == [])
        let timeless = BundleRule.Bundle(key: Self.key(1), sizeBytes: 1, modifiedMs: nil)
        #expect(Self.going(BundleRule(keepCount: 0, keepFor: Self.day), [timeless]) == [])
        // It counts as new.
        let rule = BundleRule(keepCount: 1, keepFor: Self.day)
        #expect(Self.going(rule, [timeless] + Self.bundles([5])) == [Self.key(0)])
    }

    @Test(
        "other objects are left alone",
        arguments: [
            "updates/x.raucb", "updates/\(String(repeating: "0", count: 63))/x",
            "updates/\(String(repeating: "g", count: 64))/x",
            "updates/\(String(repeating: "0", count: 64))/x/y", "sites/\(String(repeating: "0", count: 64))/x",
            "updates/../../x",
        ])
    func foreign(key: String) {
        let rule = BundleRule(keepCount: 0, keepFor: Self.day)
        let bundle = BundleRule.Bundle(key: key, sizeBytes: 1, modifiedMs: 0)
        #expect(Self.going(rule, [bundle]) == [])
        // Nor do they take the place of one that is kept.
        let two = [bundle] + Self.bundles([5, 6])
        #expect(Self.going(BundleRule(keepCount: 1, keepFor: Self.day), two) == [Self.key(1)])
    }

    @Test("the list says who is told, and what goes")
    func table() {
        let told = SiteOrderReply.StoredBundle(
            key: "updates/a/b", sizeBytes: 142_606_336, modifiedMs: Self.nowMs - 3 * Self.dayMs, version: "2.0",
            sites: (1...10).map { "S\($0)" }, isGoing: false)
        let old = SiteOrderReply.StoredBundle(
            key: "updates/c/d", sizeBytes: 1, modifiedMs: nil, version: nil, sites: [], isGoing: true)
        let lines = BundleTableText.lines([told, old], nowMs: Self.nowMs)
        #expect(lines[0] == "updates/a/b" && lines[1].contains("(3 days)"))
        #expect(lines[2].contains("version 2.0") && lines[2].contains("S8 and 2 more"))
        #expect(lines[5].contains("deleted with the next sweep"))
        #expect(BundleTableText.lines([], nowMs: 0) == ["no bundles"])
    }
}
