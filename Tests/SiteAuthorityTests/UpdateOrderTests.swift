import Testing

@testable import SiteAuthority

@Suite("Update orders")
struct UpdateOrderTests {
    static let order = UpdateOrder(
        serial: 7, version: "1.4.2", sizeBytes: 142_606_336, sha256: String(repeating: "0a", count: 32),
        key: "updates/0a/cairn-1.4.2.raucb")

    @Test("an order is one line of words, and reads back")
    func roundTrip() {
        #expect(UpdateOrder(Self.order.text) == Self.order)
        #expect(Directive("update", Self.order.text) == .update(Self.order))
        #expect(Directive("update.paused", "yes") == .updatePaused)
        #expect(Directive("update.paused", "no") == nil && Directive("update", "1.4") == nil)
    }

    @Test("missing, doubled, unknown and malformed words are refused, and so is every cut")
    func malformed() {
        let text = Self.order.text
        // What is missing at the end of the key cannot be seen here; the store has no such object then.
        let cuts = text.indices.prefix { !text[..<$0].hasSuffix("key=u") }
        for end in cuts { #expect(UpdateOrder(String(text[..<end])) == nil) }
        for (old, new) in [
            ("serial=7", "serial=-1"), ("version=1.4.2", "version=a/b"), ("size=142606336", "size=0"),
            ("size=142606336", "size=99999999999999"), ("sha256=0a", "sha256=0A"), ("sha256=0a", "sha256=zz"),
            ("updates/0a", "updates/../0a"), ("updates/0a", "/updates/0a"), ("serial=7", "serial=7 serial=7"),
            ("serial=7", "serial=7 more=1"),
        ] {
            #expect(UpdateOrder(text.replacing(old, with: new)) == nil, "\(new)")
        }
    }

    @Test("any file's name gives a key")
    func keyNames() {
        for (file, name) in [
            ("cairn-2.0.raucb", "cairn-2.0.raucb"), ("a b/ü", "a-b--"), ("..", "bundle"), ("", "bundle"),
        ] {
            #expect(UpdateOrder.keyName(file) == name && UpdateOrder.isKey("updates/" + UpdateOrder.keyName(file)))
        }
    }

    @Test("what is told is found again in the set, and taken back with it")
    func inTheSet() {
        var set = DirectiveSet()
        _ = set.told(["update": Self.order.text, "update.paused": "yes"], version: 3)
        #expect(set.update.order == Self.order && set.update.isPaused)
        _ = set.told([:], version: 4)
        #expect(set.update.order == nil && !set.update.isPaused)
    }

    @Test("what others say is cut to size")
    func bounded() {
        let report = UpdateReport(state: .failed, version: String(repeating: "x", count: 999), reason: "a\nb")
        #expect(report.bounded.version?.count == 160 && report.bounded.reason == "ab")
    }
}
