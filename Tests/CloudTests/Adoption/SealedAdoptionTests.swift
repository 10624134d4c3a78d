import Foundation
import NIOCore
import ObjectStore
import Sealing
import Testing

@testable import Cloud

@Suite("Adoption of sealed site objects", .timeLimit(.minutes(1)))
struct SealedAdoptionTests {
    /// Key files of one test.
    final class Keys: Sendable {
        let path = "/tmp/cairn-cloud-keys-" + String(UInt64.random(in: .min ... .max), radix: 16)

        init(_ id: String) throws { try KeyFile.create(path, KeyRing([KeyRing.Key.random(id: id)!])!) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func add(_ other: Keys) throws {
            try KeyFile.replace(path, KeyRing(KeyFile.load(path).keys + KeyFile.load(other.path).keys)!)
        }

        func sealed(_ store: any ObjectStore) -> any ObjectStore {
            guard let keys = try? LiveKeyRing(path: path) else { preconditionFailure("no keys in \(path)") }
            return SealedStore(store, keys: keys)
        }
    }

    @Test("sealed and plain objects of a site are adopted in order and read")
    func adopts() async throws {
        let (siteKeys, cloudKeys) = (try Keys("site"), try Keys("cloud"))
        try cloudKeys.add(siteKeys)
        try await BrokerWorld.run(around: cloudKeys.sealed) { world in
            let site = SiteObjects()
            try await site.put(1, into: siteKeys.sealed(world.memory))
            try await site.put(2, into: world.memory)
            let big = (0..<40).map { "\($0)" + String(repeating: "x", count: 5000) }
            try await site.put(3, into: siteKeys.sealed(world.memory), values: big)
            for hint in [nil, world.memory.contents[site.key(1)]?.readableBytes] {
                #expect(await world.broker.adopter.adopt(key: site.key(1), sizeHint: hint).result == .adopted)
            }
            let stored = try #require(world.memory.contents[site.key(3)]?.readableBytes)
            #expect(await world.broker.adopter.adopt(key: site.key(3), sizeHint: stored).result == .adopted)
            #expect(try await world.readAll().map(\.value) == ["1.0", "1.1", "2.0", "2.1"] + big)
        }
    }

    @Test("a missing key sets the object aside with its name; once the key is there it goes on")
    func missingKey() async throws {
        let (siteKeys, cloudKeys) = (try Keys("site"), try Keys("cloud"))
        try await BrokerWorld.run(around: cloudKeys.sealed) { world in
            let site = SiteObjects()
            try await site.put(1, into: siteKeys.sealed(world.memory))
            let report = await world.broker.adopter.adopt(key: site.key(1))
            let why = AdoptionFlaw.unreadable("sealed with key site, which is not in the key file")
            #expect(report.result == .quarantined(key: site.key(1), why))
            #expect(world.broker.status().problems.contains { $0.contains("sealed with key site") })
            try cloudKeys.add(siteKeys)
            try await until { await world.broker.adopter.adopt(key: site.key(1)).result == .adopted }
        }
    }

    @Test("a node without keys says that it has none")
    func noKeys() async throws {
        let siteKeys = try Keys("site")
        try await BrokerWorld.run { world in
            let site = SiteObjects()
            try await site.put(1, into: siteKeys.sealed(world.memory))
            let report = await world.broker.adopter.adopt(key: site.key(1))
            let why = AdoptionFlaw.unreadable("sealed with key site, and this node has no encryption.key-file")
            #expect(report.result == .quarantined(key: site.key(1), why))
        }
    }
}
