import Foundation
import NIOCore
import ObjectStore
import Sealing
import Testing
import WriteAheadLog

@testable import Uplink

/// A key file that lives as long as the test.
final class UplinkKeys: Sendable {
    private let path = "/tmp/cairn-uplink-keys-" + String(UInt64.random(in: .min ... .max), radix: 16)

    init(_ id: String = "site") throws { try KeyFile.create(path, KeyRing([KeyRing.Key.random(id: id)!])!) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func sealed(_ store: any ObjectStore, seals: Bool = true) -> any ObjectStore {
        guard let keys = try? LiveKeyRing(path: path) else { preconditionFailure("no keys in \(path)") }
        return SealedStore(store, keys: keys, seals: seals)
    }

    /// What the store holds, opened.
    func opened(_ memory: MemoryStore) async throws -> [String: ByteBuffer] {
        let store = sealed(memory)
        var opened: [String: ByteBuffer] = [:]
        for key in memory.contents.keys { opened[key] = try await store.get(key) }
        return opened
    }
}

@Suite("Uplink with sealed objects")
struct SealedUplinkTests {
    let keys: UplinkKeys

    init() throws { keys = try UplinkKeys() }

    private func fill(_ harness: Harness, batches: Int, seed: Int = 1) throws {
        for index in 0..<batches {
            try harness.lane.append(Batches.plain(["\(seed).\(index)"]), topic: "t\(index % 3)")
        }
    }

    @Test(
        "what is stored is sealed and opens to the lane's records; killed after any number of steps", arguments: 3..<20)
    func killedAnywhere(steps: Int) async throws {
        let keys = keys
        let harness = Harness(around: { keys.sealed($0) })
        try fill(harness, batches: 40)
        var count = 0
        while await harness.settle(stepsMax: steps) == steps {
            harness.restart()
            count += 1
            if steps <= 4, count > 300 { break }
        }
        await harness.settle()
        #expect(harness.memory.contents.values.allSatisfy { SealedHeader.isSealed(start: $0) == true })
        try harness.checkStore(await keys.opened(harness.memory))
        #expect(harness.uplink.status.alarm == nil)
    }

    @Test(
        "a repeated PUT of the same object counts as done",
        arguments: [
            StoreFault.timeoutAfterSuccess, .failAfterEffect(.unavailable), .ownObjectExists,
        ])
    func ownObject(fault: StoreFault) async throws {
        var script = FaultScript()
        script.add(fault, on: .put)
        let keys = keys
        let harness = Harness(script, around: { keys.sealed($0) })
        try harness.lane.append(Batches.plain(["a"]), topic: "t")
        await harness.settle()
        try harness.checkStore(await keys.opened(harness.memory))
        #expect(harness.lane.uploadState.uploadedThrough == 1)
        #expect(harness.uplink.status.alarm == nil)
        #expect(harness.uplink.status.uploadedRecords == 1)
    }

    @Test("with a store that loses answers and garbles replies, nothing is lost or doubled", arguments: 0..<20)
    func faults(seed: Int) async throws {
        var script = FaultScript(seed: UInt64(seed))
        script.add(.fail(.unavailable), perMille: 100)
        script.add(.failAfterEffect(.timeout), on: .put, perMille: 200)
        script.add(.ownObjectExists, on: .put, perMille: 100)
        script.add(.flipGet(bit: 77), on: .get, perMille: 100)
        script.add(.flipGet(bit: 3), on: .get, perMille: 50)
        script.add(.truncateGet(sizeBytes: 30), on: .get, perMille: 50)
        script.add(.truncateGet(sizeBytes: 3), on: .get, perMille: 50)
        let keys = keys
        let harness = Harness(script, around: { keys.sealed($0) })
        var random = SeededRandom(seed: UInt64(seed))
        for round in 0..<8 {
            try fill(harness, batches: Int.random(in: 0...20, using: &random), seed: seed * 100 + round)
            await harness.settle(stepsMax: Int.random(in: 1...12, using: &random))
            if Bool.random(using: &random) { harness.restart() }
        }
        await harness.settle()
        try harness.checkStore(await keys.opened(harness.memory))
    }

    @Test("the torn beginning of our own sealed object is replaced", arguments: [0, 1, 7, 8, 90, 127, 128, 200])
    func torn(sizeBytes: Int) async throws {
        let keys = keys
        let first = Harness(around: { keys.sealed($0) })
        try first.lane.append(Batches.plain(["a"]), topic: "t")
        await first.settle()
        let whole = try #require(first.memory.contents[Harness.key(1)])
        let second = Harness(around: { keys.sealed($0) })
        try second.lane.append(Batches.plain(["a"]), topic: "t")
        _ = try await second.memory.put(
            Harness.key(1), whole.getSlice(at: whole.readerIndex, length: sizeBytes)!, ifAbsent: false)
        await second.settle()
        try second.checkStore(await keys.opened(second.memory))
        #expect(second.uplink.status.alarm == nil)
    }

    @Test("switched on or off between PUT and record, the object is met as our own", arguments: [true, false])
    func switched(on: Bool) async throws {
        let keys = keys
        let first = Harness(around: { keys.sealed($0, seals: !on) })
        try first.lane.append(Batches.plain(["a"]), topic: "t")
        await first.settle()
        let second = Harness(around: { keys.sealed($0, seals: on) })
        try second.lane.append(Batches.plain(["a"]), topic: "t")
        _ = try await second.memory.put(Harness.key(1), first.memory.contents[Harness.key(1)]!, ifAbsent: false)
        await second.settle()
        #expect(second.lane.uploadState.uploadedThrough == 1)
        #expect(second.uplink.status.alarm == nil)
        #expect(second.memory.contents == first.memory.contents)
    }

    @Test("an object under a key that is gone parks the lane with its name, and is left alone")
    func missingKey() async throws {
        let others = try UplinkKeys()
        let first = Harness(around: { others.sealed($0) })
        try first.lane.append(Batches.plain(["a"]), topic: "t")
        await first.settle()
        let keys = try UplinkKeys("mine")
        let second = Harness(around: { keys.sealed($0) })
        try second.lane.append(Batches.plain(["a"]), topic: "t")
        _ = try await second.memory.put(Harness.key(1), first.memory.contents[Harness.key(1)]!, ifAbsent: false)
        #expect(await second.settle(stepsMax: 100) == 100)
        #expect(second.uplink.status.alarm?.contains("sealed with key site, which is not in the key file") == true)
        #expect(second.memory.contents == first.memory.contents)
    }
}
