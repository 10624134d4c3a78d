import Testing

@testable import SharedObject

@Suite("Object keys")
struct ObjectKeysTests {
    let incarnation = "0123456789abcdef0123456789abcdef"

    @Test("a site key pads its sequence to 20 digits")
    func siteKey() {
        #expect(
            ObjectKeys.site(site: "quarry-7", incarnation: incarnation, lane: "critical", sequence: 42)
                == "sites/quarry-7/0123456789abcdef0123456789abcdef/critical/00000000000000000042")
        #expect(ObjectKeys.digits(.max) == "18446744073709551615")
        #expect(ObjectKeys.digits(0) == "00000000000000000000")
    }

    @Test("keys sort as their sequences do", arguments: [(0, 1), (9, 10), (99, 100), (UInt64.max - 1, UInt64.max)])
    func order(pair: (UInt64, UInt64)) {
        let keys = [pair.0, pair.1].map {
            ObjectKeys.site(site: "a", incarnation: incarnation, lane: "b", sequence: $0)
        }
        #expect(keys[0] < keys[1])
    }

    @Test("parsing undoes making", arguments: [0, 1, 12_345, UInt64.max])
    func roundTrip(sequence: UInt64) throws {
        let site = try #require(
            SiteObjectKey(site: "a.b-c_D", incarnation: incarnation, lane: "bulk", sequence: sequence))
        #expect(SiteObjectKey(parsing: site.key) == site)
        let cloud = try #require(CloudObjectKey(nodeID: "node-1", epoch: sequence, sequence: sequence))
        #expect(CloudObjectKey(parsing: cloud.key) == cloud)
        #expect(cloud.key.hasPrefix("data/node-1/"))
    }

    @Test(
        "a key that is not exactly ours has no parts",
        arguments: [
            "", "/", "sites", "sites/a", "sites//0123456789abcdef0123456789abcdef/l/00000000000000000001",
            "sites/a/0123456789ABCDEF0123456789abcdef/l/00000000000000000001",
            "sites/a/0123456789abcdef0123456789abcde/l/00000000000000000001",
            "sites/a/0123456789abcdef0123456789abcdef/l/1",
            "sites/a/0123456789abcdef0123456789abcdef/l/000000000000000000001",
            "sites/a/0123456789abcdef0123456789abcdef/l/99999999999999999999",
            "sites/a/0123456789abcdef0123456789abcdef/l/+0000000000000000001",
            "sites/a/0123456789abcdef0123456789abcdef/l/00000000000000000001/",
            "sites/a/0123456789abcdef0123456789abcdef/l/00000000000000000001/x",
            "sites/../0123456789abcdef0123456789abcdef/l/00000000000000000001",
            "sites/a b/0123456789abcdef0123456789abcdef/l/00000000000000000001",
            "sites/ä/0123456789abcdef0123456789abcdef/l/00000000000000000001",
            "Sites/a/0123456789abcdef0123456789abcdef/l/00000000000000000001",
            "data/a/0123456789abcdef0123456789abcdef/l/00000000000000000001",
        ])
    func refused(key: String) {
        #expect(SiteObjectKey(parsing: key) == nil)
    }

    @Test("a cloud key needs a name and two numbers")
    func refusedCloud() {
        let zero = "00000000000000000000"
        for key in ["data/n/\(zero)", "data//\(zero)/\(zero)", "data/./\(zero)/\(zero)", "data/n/\(zero)/1"] {
            #expect(CloudObjectKey(parsing: key) == nil)
        }
    }

    @Test("names are 1 to 64 plain characters and never a way out of a directory")
    func names() {
        #expect(ObjectKeys.isName("A"))
        #expect(ObjectKeys.isName(String(repeating: "z", count: 64)))
        #expect(ObjectKeys.isName("..."))
        for name in ["", ".", "..", "a/b", "a b", "é", "a\0", String(repeating: "z", count: 65)] {
            #expect(!ObjectKeys.isName(name))
        }
        #expect(ObjectFormat.isTopic(String(repeating: "t", count: 249)))
        #expect(!ObjectFormat.isTopic(String(repeating: "t", count: 250)))
    }

    @Test("listing prefixes contain the keys and nothing of a longer name")
    func prefixes() {
        let key = ObjectKeys.site(site: "a", incarnation: incarnation, lane: "l", sequence: 1)
        #expect(key.hasPrefix(ObjectKeys.sitePrefix(site: "a")))
        #expect(key.hasPrefix(ObjectKeys.lanePrefix(site: "a", incarnation: incarnation, lane: "l")))
        #expect(
            !ObjectKeys.site(site: "ab", incarnation: incarnation, lane: "l", sequence: 1)
                .hasPrefix(ObjectKeys.sitePrefix(site: "a")))
    }
}
