import FoundationEssentials
import Glibc
import NIOCore
import Synchronization
import Testing

@testable import ObjectStore

/// A directory of its own for one test, removed at its end.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        path = "/tmp/cairn-store-" + String(UInt64.random(in: .min ... .max), radix: 16)
        mkdir(path, 0o700)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

struct Errno: Error { var number: Int32 }

@Suite("Memory store")
struct MemoryStoreTests {
    @Test("conforms")
    func conforms() async throws {
        try await checkConformance(MemoryStore(), prefix: "c/")
    }

    @Test("keys that differ only in Unicode normal form are different keys")
    func normalForms() async throws {
        let store = MemoryStore()
        _ = try await store.put("caf\u{E9}", bytes(1), ifAbsent: true)
        #expect(try await store.list(prefix: "cafe", limit: 10).objects.isEmpty)
    }
}

@Suite("Stub store")
struct StubStoreTests {
    @Test("conforms, and forgets the oldest objects beyond its bound")
    func conforms() async throws {
        try await checkConformance(StubStore(bytesMax: 64 << 20), prefix: "c/")
        let small = StubStore(bytesMax: 250)
        for name in ["a", "b", "c"] { _ = try await small.put(name, bytes(100), ifAbsent: true) }
        #expect(try await small.list(prefix: "", limit: 10).objects.map(\.key) == ["b", "c"])
        #expect(await kind { () async throws(ObjectStoreError) in try await small.get("a") } == .notFound)
    }
}

@Suite("Directory store")
struct DirectoryStoreTests {
    let directory = TemporaryDirectory()

    @Test("conforms")
    func conforms() async throws {
        try await checkConformance(DirectoryStore(root: directory.path), prefix: "c/")
    }

    @Test("a large object is the same from a disk and from memory", arguments: ["/tmp", "/dev/shm"])
    func large(place: String) async throws {
        let root = place + "/cairn-large-" + String(UInt64.random(in: .min ... .max), radix: 16)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let store = try DirectoryStore(root: root)
        let body = bytes((5 << 20) + 777)
        guard case .created(let etag) = try await store.put("large", body, ifAbsent: true) else {
            Issue.record("not created")
            return
        }
        #expect(try await store.get("large") == body)
        #expect(try await store.head("large")?.etag == etag)
        #expect(try await store.put("large", bytes(300 << 10), ifAbsent: false) != .alreadyExists)
        #expect(try await store.get("large") == bytes(300 << 10))
    }

    @Test("an object that comes in pieces is there whole or not at all")
    func pieces() async throws {
        struct Broken: Error {}
        let store = try DirectoryStore(root: directory.path)
        let count = Mutex(0)
        @Sendable func next(failingAt limit: Int) throws -> ByteBuffer? {
            let number = count.withLock { count in
                count += 1
                return count
            }
            if number == limit { throw Broken() }
            return number <= 3 ? bytes(100_000 + number) : nil
        }
        let error = await kind { () async throws(ObjectStoreError) in
            try await store.put("a/b", pieces: { try next(failingAt: 3) })
        }
        #expect(error == .cancelled)
        #expect(try await store.head("a/b") == nil)
        #expect(fileNames(in: directory.path + "/.cairn/temporary") == [])
        _ = try await store.put("a/b", bytes(7), ifAbsent: true)
        count.withLock { $0 = 0 }
        _ = try await store.put("a/b", pieces: { try next(failingAt: 9) })
        var whole = bytes(100_001)
        whole.writeImmutableBuffer(bytes(100_002))
        whole.writeImmutableBuffer(bytes(100_003))
        #expect(try await store.get("a/b") == whole)
        #expect(fileNames(in: directory.path + "/.cairn/temporary") == [])
    }

    @Test("objects outlive the store, and its parents are made")
    func reopen() async throws {
        let root = directory.path + "/deep/er"
        _ = try await DirectoryStore(root: root).put("a/b", bytes(10), ifAbsent: true)
        let again = try DirectoryStore(root: root + "/")
        #expect(try await again.get("a/b") == bytes(10))
        #expect(try await again.put("a/b", bytes(11), ifAbsent: true) == .alreadyExists)
    }

    @Test("what a crash left half written is swept at open, a living writer's file is not")
    func sweep() async throws {
        _ = try DirectoryStore(root: directory.path)
        let temporary = directory.path + "/.cairn/temporary/"
        close(creat(temporary + "left", 0o644))
        #expect(fileNames(in: temporary) == ["left"])
        guard let living = OpenFile(temporary + "living", O_WRONLY | O_CREAT) else { throw Errno(number: errno) }
        #expect(flock(living.descriptor, LOCK_EX) == 0)
        let store = try DirectoryStore(root: directory.path)
        #expect(fileNames(in: temporary) == ["living"])
        #expect(try await store.list(prefix: "", limit: 10).objects.isEmpty, "our own files are not objects")
        #expect(flock(living.descriptor, LOCK_UN) == 0)
    }

    @Test("a put leaves no temporary file, whatever its result")
    func noLeftovers() async throws {
        let store = try DirectoryStore(root: directory.path)
        _ = try await store.put("k", bytes(10), ifAbsent: true)
        _ = try await store.put("k", bytes(10), ifAbsent: true)
        _ = try await store.put("k", bytes(10), ifAbsent: false)
        _ = await kind { () async throws(ObjectStoreError) in try await store.put("k/below", bytes(1), ifAbsent: true) }
        #expect(fileNames(in: directory.path + "/.cairn/temporary") == [])
    }

    @Test("a key cannot be an object and a directory of others")
    func objectAndDirectory() async throws {
        let store = try DirectoryStore(root: directory.path)
        _ = try await store.put("a", bytes(1), ifAbsent: true)
        _ = try await store.put("d/x", bytes(1), ifAbsent: true)
        for key in ["a/b", "d"] {
            for ifAbsent in [true, false] {
                let kind = await kind { () async throws(ObjectStoreError) in
                    try await store.put(key, bytes(1), ifAbsent: ifAbsent)
                }
                guard case .invalid = kind else {
                    Issue.record("\(key): \(String(describing: kind))")
                    continue
                }
            }
        }
        #expect(try await store.head("d") == nil)
        #expect(try await store.delete(["d"]).isEmpty)
        #expect(try await store.head("d/x") != nil, "deleting a directory's name deletes nothing")
        #expect(await kind { () async throws(ObjectStoreError) in try await store.get("a/b") } == .notFound)
    }

    @Test("empty directories go with their last object, while others create in them")
    func deleteAgainstCreate() async throws {
        let store = try DirectoryStore(root: directory.path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<6 {
                group.addTask {
                    for round in 0..<40 {
                        let key = "deep/er/\(worker)-\(round)"
                        _ = try await store.put(key, bytes(worker), ifAbsent: true)
                        #expect(try await store.get(key) == bytes(worker))
                        #expect(try await store.delete([key]).isEmpty)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(fileNames(in: directory.path) == [".cairn"])
    }

    @Test("a directory larger than a page is listed whole, in order, with empty directories between")
    func largeDirectory() async throws {
        let store = try DirectoryStore(root: directory.path)
        let keys = (0..<60).map { "d/" + ($0 < 10 ? "0\($0)" : "\($0)") }
        for key in keys.shuffled() { _ = try await store.put(key, bytes(1), ifAbsent: true) }
        for index in 0..<40 { mkdir("\(directory.path)/d/\(index)-empty", 0o755) }
        for limit in [1, 7, 60] {
            var listed: [String] = []
            var after: String?
            repeat {
                let page = try await store.list(prefix: "d/", startAfter: after, limit: limit)
                listed += page.objects.map(\.key)
                after = page.next
            } while after != nil && listed.count < 1000
            #expect(listed == keys, "limit \(limit)")
        }
    }

    @Test("listing equals the memory store's on random trees", arguments: 0..<20 as Range<UInt64>)
    func model(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let twin = MemoryStore()
        let store = try DirectoryStore(root: directory.path)
        let elements = ["a", "a-", "a.", "a0", "ab", "b", "~", "é"]
        for _ in 0..<60 {
            let depth = Int.random(in: 1...3, using: &random)
            // Files and directories have different names, so that no key is a directory of another.
            let parents = (1..<depth).map { _ in (elements.randomElement(using: &random) ?? "a") + "d/" }
            let key = parents.joined() + (elements.randomElement(using: &random) ?? "a")
            _ = try await twin.put(key, bytes(3), ifAbsent: false)
            _ = try await store.put(key, bytes(3), ifAbsent: false)
        }
        for _ in 0..<40 {
            let keys = twin.contents.keys.sorted()
            let prefix = String(
                (keys.randomElement(using: &random) ?? "").prefix(Int.random(in: 0...3, using: &random)))
            let startAfter = Bool.random(using: &random) ? keys.randomElement(using: &random) : prefix + "a-"
            let limit = Int.random(in: 1...70, using: &random)
            let wanted = try await twin.list(prefix: prefix, startAfter: startAfter, limit: limit)
            let got = try await store.list(prefix: prefix, startAfter: startAfter, limit: limit)
            #expect(got.objects.map(\.key) == wanted.objects.map(\.key), "seed \(seed) \(prefix) \(startAfter ?? "")")
            #expect(got.next == wanted.next)
        }
    }

    @Test("a root that cannot be made is a clear error")
    func badRoot() {
        #expect(throws: ObjectStoreError.self) { try DirectoryStore(root: "/proc/cairn") }
    }
}
