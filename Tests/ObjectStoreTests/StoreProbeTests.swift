import NIOCore
import NIOHTTP1
import Testing

@testable import ObjectStore

@Suite("Store probe")
struct StoreProbeTests {
    @Test("good stores have every capability, and nothing is left behind")
    func good() async throws {
        let memory = MemoryStore()
        #expect(try await StoreProbe(memory, nonce: "n").run().capabilities == StoreCapabilities())
        #expect(memory.contents.isEmpty)
        let directory = TemporaryDirectory()
        let report = try await StoreProbe(DirectoryStore(root: directory.path)).run()
        #expect(report.capabilities == StoreCapabilities())
        #expect(report.findings.allSatisfy { $0.flaw == nil })
        try await withStub { stub, store async throws in
            let report = try await StoreProbe(store).run()
            #expect(report.capabilities == StoreCapabilities(), "\(report)")
            #expect(stub.objects.isEmpty && stub.openUploads == 0)
        }
    }

    @Test("a store that ignores the condition in silence is found out")
    func ignoresCondition() async throws {
        var behaviour = S3Stub.Behaviour()
        behaviour.honoursIfNoneMatch = false
        behaviour.honoursRanges = false
        behaviour.hasBatchDelete = false
        try await withStub(behaviour) { stub, store async throws in
            let report = try await StoreProbe(store, prefix: "sites/a/", nonce: "n").run()
            #expect(
                report.capabilities
                    == StoreCapabilities(
                        conditionalCreate: false, conditionalMultipart: false, rangedGet: false, batchDelete: false))
            #expect(report.description.contains("NO   create only if absent"))
            #expect(report.description.contains("yes  LIST sees what was PUT"))
            #expect(stub.objects.isEmpty)
            let adapted = store.adapted(to: report.capabilities)
            _ = try await adapted.put("k", bytes(1), ifAbsent: true)
            #expect(try await adapted.put("k", bytes(2), ifAbsent: true) == .alreadyExists)
        }
    }

    @Test("a store that cannot even PUT is an error, not a report")
    func unusable() async {
        var script = FaultScript()
        script.add(.fail(.denied), on: .put)
        let store = FaultyStore(MemoryStore(), script)
        #expect(await kind { () async throws(ObjectStoreError) in try await StoreProbe(store).run() } == .denied)
    }

    @Test("a late listing is found out, and an error in one step does not end the others")
    func lateList() async throws {
        var script = FaultScript()
        script.add(.staleList(newest: 2), on: .list, times: 1)
        let report = try await StoreProbe(FaultyStore(MemoryStore(), script)).run()
        #expect(!report.capabilities.listAfterWrite && report.capabilities.batchDelete)
        #expect(report.description.contains("2 of 4 objects listed"))
    }
}
