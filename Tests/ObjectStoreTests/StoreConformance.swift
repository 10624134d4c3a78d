import NIOCore
import ObjectStore
import Testing

/// What every store must do, whatever it is made of. One function, run over all of them.
///
/// `prefix` must be fresh and end with a slash. `atomicCreate`: of racing creators exactly one wins. `byteOrder`: lists in byte order.
func checkConformance(
    _ store: any ObjectStore, prefix: String, atomicCreate: Bool = true, byteOrder: Bool = true
) async throws {
    try await checkPutAndGet(store, prefix + "basic/")
    try await checkRanges(store, prefix + "ranges/")
    try await checkCreateOnly(store, prefix + "create/", atomic: atomicCreate)
    try await checkListing(store, prefix + "list/", byteOrder: byteOrder)
    try await checkOddKeys(store, prefix + "odd/")
    try await checkDelete(store, prefix + "delete/")
    await checkRefusals(store, prefix + "refused/")
}

func bytes(_ count: Int, seed: UInt8 = 1) -> ByteBuffer {
    var buffer = ByteBuffer()
    buffer.reserveCapacity(count)
    var state = UInt32(seed) &* 2_654_435_761 &+ 1
    for _ in 0..<count {
        state = state &* 1_664_525 &+ 1_013_904_223
        buffer.writeInteger(UInt8(truncatingIfNeeded: state >> 24))
    }
    return buffer
}

/// The kind of the error that `body` ends in; nil when it ends well.
func kind<Value>(
    _ body: () async throws(ObjectStoreError) -> Value
) async -> ObjectStoreError.Kind? {
    do throws(ObjectStoreError) {
        _ = try await body()
        return nil
    } catch {
        return error.kind
    }
}

private func checkPutAndGet(_ store: any ObjectStore, _ prefix: String) async throws {
    #expect(try await store.head(prefix + "a") == nil)
    #expect(await kind { () async throws(ObjectStoreError) in try await store.get(prefix + "a") } == .notFound)
    for size in [0, 1, 4095, 70_000] {
        let body = bytes(size)
        guard case .created = try await store.put(prefix + "a", body, ifAbsent: false) else {
            Issue.record("an overwriting put did not say created")
            return
        }
        #expect(try await store.get(prefix + "a") == body, "\(size) bytes")
        #expect(try await store.head(prefix + "a")?.sizeBytes == size)
    }
}

private func checkRanges(_ store: any ObjectStore, _ prefix: String) async throws {
    let body = bytes(10_000)
    let key = prefix + "object"
    _ = try await store.put(key, body, ifAbsent: true)
    for range in [0..<1, 0..<10_000, 17..<18, 4000..<8200, 9999..<10_000] {
        let got = try await store.get(key, range: range)
        #expect(got == body.getSlice(at: range.lowerBound, length: range.count), "\(range)")
    }
    for range in [9999..<10_001, 10_000..<10_001, 20_000..<20_010] {
        let kind = await kind { () async throws(ObjectStoreError) in try await store.get(key, range: range) }
        #expect(kind == .rangeOutsideObject, "\(range)")
    }
    let absent = await kind { () async throws(ObjectStoreError) in try await store.get(prefix + "no", range: 0..<1) }
    #expect(absent == .notFound)
}

private func checkCreateOnly(_ store: any ObjectStore, _ prefix: String, atomic: Bool) async throws {
    let key = prefix + "once"
    guard case .created = try await store.put(key, bytes(100, seed: 1), ifAbsent: true) else {
        Issue.record("a first create did not create")
        return
    }
    #expect(try await store.put(key, bytes(100, seed: 2), ifAbsent: true) == .alreadyExists)
    #expect(try await store.get(key) == bytes(100, seed: 1))
    guard atomic else { return }
    for round in 0..<10 {
        let raced = "\(prefix)raced/\(round)"
        let winners = try await withThrowingTaskGroup(of: UInt8?.self) { group in
            for racer in UInt8(1)...8 {
                group.addTask {
                    let result = try await store.put(raced, bytes(2000, seed: racer), ifAbsent: true)
                    return result == .alreadyExists ? nil : racer
                }
            }
            var winners: [UInt8] = []
            for try await racer in group { if let racer { winners.append(racer) } }
            return winners
        }
        #expect(winners.count == 1, "round \(round): \(winners)")
        guard let winner = winners.first else { return }
        #expect(try await store.get(raced) == bytes(2000, seed: winner), "the winner's bytes are the object")
    }
}

private func checkListing(_ store: any ObjectStore, _ prefix: String, byteOrder: Bool) async throws {
    // '-' and '.' come before '/', which comes before digits and letters; "b" and "bc" share a prefix.
    let names = [
        "a-b/1", "a.b/1", "a/0", "a/1/x", "a/1/y", "a/2", "a0/1", "b/1", "b/10", "b/2", "bc/1", "c",
    ]
    let keys = names.map { prefix + $0 }
    for (index, key) in keys.enumerated().reversed() { _ = try await store.put(key, bytes(index), ifAbsent: true) }
    #expect(try await store.list(prefix: prefix + "none/") == ListPage(objects: [], next: nil))
    for limit in [1, 2, 5, 11, 12, 1000] {
        let listed = try await everything(store, prefix, limit: limit)
        let order =
            byteOrder ? listed.map(\.key) : listed.map(\.key).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        #expect(order == keys, "pages of \(limit)")
        #expect(listed.allSatisfy { $0.sizeBytes == keys.firstIndex(of: $0.key) })
    }
    let inB = try await store.list(prefix: prefix + "b", limit: 100).objects.map(\.key)
    #expect(inB == ["b/1", "b/10", "b/2", "bc/1"].map { prefix + $0 }, "a prefix may end within an element")
    let inOne = try await store.list(prefix: prefix + "b/", startAfter: prefix + "b/1", limit: 100).objects.map(\.key)
    #expect(inOne == ["b/10", "b/2"].map { prefix + $0 })
    guard byteOrder else { return }
    let after = try await store.list(prefix: prefix, startAfter: prefix + "a/1", limit: 100).objects.map(\.key)
    #expect(after == Array(keys[3...]), "startAfter need not be a key")
    let afterDirectory = try await store.list(prefix: prefix, startAfter: prefix + "a/~", limit: 100).objects
    #expect(afterDirectory.map(\.key) == Array(keys[6...]))
    #expect(try await store.list(prefix: prefix, startAfter: prefix + "d", limit: 100).objects.isEmpty)
}

private func everything(_ store: any ObjectStore, _ prefix: String, limit: Int) async throws -> [ListedObject] {
    var all: [ListedObject] = []
    var after: String?
    for _ in 0..<100 {
        let page = try await store.list(prefix: prefix, startAfter: after, limit: limit)
        #expect(page.objects.count <= limit)
        all += page.objects
        guard let next = page.next else { return all }
        after = next
    }
    Issue.record("a listing without end")
    return all
}

private func checkOddKeys(_ store: any ObjectStore, _ prefix: String) async throws {
    let names = [
        "a b+c", "50%", "x=1&y=2", "ünïcode-ሴ", "quote'\"<tag>", "~tilde", "a:b@c,d;e", "(1)!*", "q?#f", ".hidden",
        "-dash",
    ]
    for (index, name) in names.enumerated() {
        _ = try await store.put(prefix + name, bytes(index + 1), ifAbsent: true)
        #expect(try await store.get(prefix + name) == bytes(index + 1), "\(name)")
        #expect(try await store.head(prefix + name)?.sizeBytes == index + 1, "\(name)")
    }
    let listed = try await store.list(prefix: prefix, limit: 100).objects.map(\.key)
    #expect(Set(listed) == Set(names.map { prefix + $0 }))
    let failures = try await store.delete(names.map { prefix + $0 })
    #expect(failures.isEmpty)
    #expect(try await store.list(prefix: prefix, limit: 100).objects.isEmpty)
}

private func checkDelete(_ store: any ObjectStore, _ prefix: String) async throws {
    let keys = (0..<12).map { "\(prefix)d\($0 % 3)/\($0)" }
    for key in keys { _ = try await store.put(key, bytes(10), ifAbsent: true) }
    #expect(try await store.delete([]).isEmpty)
    #expect(try await store.delete([keys[0]]).isEmpty)
    #expect(try await store.head(keys[0]) == nil)
    #expect(try await store.delete(keys + [prefix + "never/there"]).isEmpty, "what is not there counts as deleted")
    #expect(try await store.list(prefix: prefix, limit: 100).objects.isEmpty)
    guard case .created = try await store.put(keys[0], bytes(1), ifAbsent: true) else {
        Issue.record("a deleted key cannot be created again")
        return
    }
}

private func checkRefusals(_ store: any ObjectStore, _ prefix: String) async {
    let bad = ["", "/abs", "a//b", "a/", "..", "a/../b", "./a", "nul\0", "new\nline", "back\\slash", ".cairn/x"]
    let long = [String(repeating: "x", count: 256), String(repeating: "abc/", count: 300) + "x"]
    for key in bad + long {
        #expect(
            await isInvalid { () async throws(ObjectStoreError) in try await store.put(key, bytes(1), ifAbsent: true) })
        #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.get(key) })
        #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.head(key) })
        #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.delete([key]) })
    }
    #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.get(prefix + "x", range: 5..<5) })
    #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.list(prefix: "a/../", limit: 1) })
    #expect(await isInvalid { () async throws(ObjectStoreError) in try await store.list(prefix: prefix, limit: 0) })
}

private func isInvalid<Value>(_ body: () async throws(ObjectStoreError) -> Value) async -> Bool {
    if case .invalid = await kind(body) { true } else { false }
}
