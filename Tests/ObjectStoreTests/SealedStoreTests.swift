import Foundation
import NIOCore
import Sealing
import Testing

@testable import ObjectStore

/// A key file of its own, and the keys in it.
final class TestKeys: Sendable {
    let directory = TemporaryDirectory()
    var path: String { directory.path + "/keys" }

    init(_ ids: String...) throws {
        let keys = ids.map { KeyRing.Key.random(id: $0)! }
        try KeyFile.create(path, KeyRing(keys)!)
    }

    func live() throws -> LiveKeyRing { try LiveKeyRing(path: path) }

    func rotate(to id: String) throws {
        try KeyFile.replace(path, KeyRing([KeyRing.Key.random(id: id)!] + KeyFile.load(path).keys)!)
    }
}

@Suite("Sealed store")
struct SealedStoreTests {
    let base = MemoryStore()
    let keys: TestKeys

    init() throws { keys = try TestKeys("one") }

    /// As another process has it, which remembers nothing.
    func store(seals: Bool = true, around other: (any ObjectStore)? = nil) throws -> SealedStore {
        SealedStore(other ?? base, keys: try keys.live(), seals: seals)
    }

    @Test("conforms, sealing or only opening, around every kind of store", arguments: [true, false])
    func conforms(_ seals: Bool) async throws {
        let directory = TemporaryDirectory()
        try await checkConformance(store(seals: seals), prefix: "c/")
        try await checkConformance(store(seals: seals, around: DirectoryStore(root: directory.path)), prefix: "c/")
    }

    @Test("what is stored is sealed, and another process reads all of it and any range, across chunks")
    func reads() async throws {
        let body = bytes(200_000)
        _ = try await store().put("k", body, ifAbsent: true)
        let stored = try #require(base.contents["k"])
        #expect(SealedHeader.isSealed(start: stored) == true)
        #expect(stored.readableBytes == 200_000 + 128 + 4 * 16)
        #expect(try await store().get("k") == body)
        #expect(try await store().head("k")?.sizeBytes == 200_000)
        let reader = try store()
        for range in [0..<1, 65_535..<65_537, 65_536..<131_072, 0..<200_000, 199_999..<200_000, 70_000..<70_010] {
            #expect(try await reader.get("k", range: range) == body.getSlice(at: range.lowerBound, length: range.count))
        }
        let outside = await kind { () async throws(ObjectStoreError) in try await reader.get("k", range: 0..<200_001) }
        #expect(outside == .rangeOutsideObject)
    }

    @Test("pieces are sealed as one object")
    func pieces() async throws {
        var body = ObjectBody()
        for size in [10, 70_000, 1, 65_536, 20_000] { body.append(bytes(size, seed: UInt8(size & 0x7F))) }
        _ = try await store().put("k", body, ifAbsent: true)
        #expect(try await store().get("k") == body.joined)
    }

    @Test("a ranged read costs a header the first time, and then only the chunks it needs")
    func cost() async throws {
        let counting = CountingStore(base)
        _ = try await store().put("k", bytes(1 << 20), ifAbsent: true)
        let reader = try store(around: counting)
        _ = try await reader.get("k", range: 100..<200)
        #expect(counting.counts.gets == 2)
        #expect(counting.counts.bytesGot == 128 + 65_552)
        for start in stride(from: 0, to: 1 << 20, by: 100_000) {
            _ = try await reader.get("k", range: start..<start + 10)
        }
        #expect(counting.counts.gets == 13)
        let whole = CountingStore(base)
        _ = try await store(around: whole).get("k")
        #expect(whole.counts.gets == 1)
    }

    @Test("every flipped bit of a stored object is an error, and never other bytes")
    func bitFlips() async throws {
        let body = bytes(300)
        _ = try await store().put("k", body, ifAbsent: true)
        let stored = try #require(base.contents["k"])
        let (whole, ranged) = (try store(), try store())
        for bit in 0..<stored.readableBytes * 8 {
            var changed = stored
            changed.setInteger(changed.getInteger(at: bit / 8, as: UInt8.self)! ^ 1 << UInt8(bit % 8), at: bit / 8)
            _ = try await base.put("k", changed, ifAbsent: false)
            let all = await kind { () async throws(ObjectStoreError) in try await whole.get("k") }
            let part = await kind { () async throws(ObjectStoreError) in
                // A header that was read before does not hide one that has changed.
                _ = try await ranged.head("k")
                return try await ranged.get("k", range: 290..<300)
            }
            guard case .invalid? = all else {
                Issue.record("bit \(bit): \(String(describing: all))")
                return
            }
            guard bit < 128 * 8 || part != nil else {
                Issue.record("bit \(bit): a range opened")
                return
            }
        }
    }

    @Test("a bit that flips on its way once does no harm, twice is an error that no retry repeats for ever")
    func transientFlip() async throws {
        _ = try await store().put("k", bytes(300), ifAbsent: true)
        for flips in 1...2 {
            var script = FaultScript()
            script.add(.flipGet(bit: 5000), on: .get, skipping: 1, times: flips == 1 ? 1 : 3)
            let faulty = FaultyStore(base, script)
            let reader = try store(around: faulty)
            let found = await kind { () async throws(ObjectStoreError) in try await reader.get("k", range: 0..<300) }
            if flips == 1 {
                #expect(found == nil)
            } else if case .invalid(let reason)? = found {
                #expect(reason.contains("does not verify"))
            } else {
                Issue.record("\(String(describing: found))")
            }
        }
    }

    @Test("an object that was replaced is read as it is now, whatever was known of it")
    func replaced() async throws {
        let reader = try store()
        for (size, seals) in [(100_000, true), (100_000, true), (50, true), (90_000, false), (300, true)] {
            _ = try await store(seals: seals).put("k", bytes(size, seed: UInt8(size & 7)), ifAbsent: false)
            #expect(try await reader.head("k")?.sizeBytes == size)
            #expect(
                try await reader.get("k", range: 0..<50)
                    == bytes(size, seed: UInt8(size & 7)).getSlice(at: 0, length: 50))
            #expect(try await reader.get("k") == bytes(size, seed: UInt8(size & 7)))
        }
    }

    @Test("objects copied over each other are found")
    func swapped() async throws {
        _ = try await store().put("sites/A/1", bytes(100, seed: 1), ifAbsent: true)
        _ = try await store().put("sites/A/2", bytes(100, seed: 2), ifAbsent: true)
        _ = try await base.put("sites/A/2", base.contents["sites/A/1"]!, ifAbsent: false)
        let reader = try store()
        let found = await kind { () async throws(ObjectStoreError) in
            try await reader.get("sites/A/2", range: 0..<10)
        }
        #expect(
            found
                == .invalid("the envelope of its key (one) does not verify: damaged, or another key has the same name"))
    }

    @Test("plain and sealed objects stand side by side, and sealing is switched on and off at any time")
    func mixed() async throws {
        _ = try await base.put("plain", bytes(500), ifAbsent: true)
        _ = try await store(seals: true).put("sealed", bytes(500), ifAbsent: true)
        for seals in [true, false] {
            let reader = try store(seals: seals)
            for key in ["plain", "sealed"] {
                #expect(try await reader.get(key) == bytes(500))
                #expect(try await reader.get(key, range: 10..<20) == bytes(500).getSlice(at: 10, length: 10))
                #expect(try await reader.head(key)?.sizeBytes == 500)
            }
            #expect(try await reader.list(prefix: "", limit: 10).objects.map(\.sizeBytes) == [500, 500])
        }
        let marked = ByteBuffer(string: "CAIRNSEAnot")
        let plainWriter = try store(seals: false)
        let refused = await kind { () async throws(ObjectStoreError) in
            try await plainWriter.put("x", marked, ifAbsent: true)
        }
        #expect(refused == .invalid("begins with the mark of a sealed object"))
    }

    @Test("a missing key is named, and opens everything as soon as it is there")
    func missingKey() async throws {
        _ = try await store().put("k", bytes(500), ifAbsent: true)
        let others = try TestKeys("other")
        let reader = SealedStore(base, keys: try others.live())
        for range in [nil, 0..<10] {
            let found = await kind { () async throws(ObjectStoreError) in try await reader.get("k", range: range) }
            #expect(found == .invalid("sealed with key one, which is not in the key file"))
        }
        #expect(try await reader.head("k")?.sizeBytes == 500, "the size is no secret")
        let both = try KeyRing(KeyFile.load(others.path).keys + KeyFile.load(keys.path).keys)
        try KeyFile.replace(others.path, #require(both))
        try await Task.sleep(for: .milliseconds(1100))
        #expect(try await reader.get("k") == bytes(500))
    }

    @Test("after a rotation old objects open")
    func rotation() async throws {
        _ = try await store().put("old", bytes(500), ifAbsent: true)
        try keys.rotate(to: "two")
        _ = try await store().put("new", bytes(500), ifAbsent: true)
        #expect(try SealedHeader.decode(base.contents["old"]!).keyID == "one")
        #expect(try SealedHeader.decode(base.contents["new"]!).keyID == "two")
        for key in ["old", "new"] { #expect(try await store().get(key) == bytes(500)) }
    }

    @Test("a PUT repeated after a crash meets its own object, whole or torn at any byte")
    func repeatedPut() async throws {
        let body = bytes(150_000)
        _ = try await store().put("k", body, ifAbsent: true)
        let stored = try #require(base.contents["k"])
        #expect(try await store().put("k", body, ifAbsent: true) == .alreadyExists)
        let other = MemoryStore()
        _ = try await store(around: other).put("k", body, ifAbsent: true)
        #expect(other.contents["k"] == stored, "so that parts of an earlier attempt are good for this one")
        #expect(try await store().get("k") == body)
        for count in Array(0..<140) + [65_679, 65_680, 65_681, 131_231, 131_232, stored.readableBytes - 1] {
            _ = try await base.put("k", stored.getSlice(at: 0, length: count)!, ifAbsent: false)
            let reader = try store()
            let size = try await reader.head("k")?.sizeBytes
            guard let size else {
                Issue.record("\(count) bytes: nothing there")
                return
            }
            #expect(size < body.readableBytes)
            guard size > 0 else { continue }
            #expect(size == (count - 128) / 65_552 * 65_536, "\(count) bytes")
            #expect(try await reader.get("k", range: 0..<size) == body.getSlice(at: 0, length: size))
        }
    }
}
