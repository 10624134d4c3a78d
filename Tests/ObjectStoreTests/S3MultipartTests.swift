import NIOCore
import NIOHTTP1
import Testing

@testable import ObjectStore

@Suite("S3 multipart upload")
struct S3MultipartTests {
    /// 5,500 bytes are 5 parts of 1,000 bytes and one of 500.
    private let settings = {
        var settings = stubSettings
        settings.multipartThresholdBytes = 2000
        settings.partSizeBytes = 1000
        return settings
    }()

    @Test("a large body goes in parts and comes back whole")
    func parts() async throws {
        try await withStub(settings: settings) { stub, store async throws in
            guard case .created(let etag) = try await store.put("k", bytes(5500), ifAbsent: true) else {
                Issue.record("not created")
                return
            }
            #expect(etag == "\"s5500\"")
            #expect(try await store.get("k") == bytes(5500))
            #expect(stub.log.filter { $0.contains("partNumber=") }.count == 6)
            #expect(try await store.put("k", bytes(5501), ifAbsent: true) == .alreadyExists)
            #expect(stub.log.filter { $0.contains("partNumber=") }.count == 6, "what is there is not sent again")
            _ = try await store.put("k", bytes(4000), ifAbsent: false)
            #expect(try await store.get("k") == bytes(4000))
            #expect(stub.openUploads == 0)
        }
    }

    @Test("a part that fails is sent again by itself")
    func partRetried() async throws {
        try await withStub(settings: settings) { stub, store async throws in
            stub.script(
                S3Stub.Canned(method: .PUT, uriPart: "partNumber=3", status: 503),
                S3Stub.Canned(method: .PUT, uriPart: "partNumber=5", afterEffect: true, closes: true))
            _ = try await store.put("k", bytes(5500), ifAbsent: true)
            #expect(try await store.get("k") == bytes(5500))
            #expect(stub.log.filter { $0.contains("partNumber=") }.count == 8)
            #expect(stub.log.filter { $0.contains("partNumber=3") }.count == 2)
        }
    }

    @Test("a part that fails for good, or too often, aborts the upload", arguments: [403, 500])
    func aborted(status: Int) async throws {
        try await withStub(settings: settings) { stub, store async throws in
            let canned = S3Stub.Canned(method: .PUT, uriPart: "partNumber=2", status: status)
            stub.script(canned, canned, canned)
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store.put("k", bytes(5500), ifAbsent: true)
            }
            #expect(kind == (status == 403 ? .denied : .unavailable))
            #expect(stub.openUploads == 0 && stub.objects.isEmpty)
        }
    }

    @Test("a completion that fails is an error, with status 200 as well")
    func completionFails() async throws {
        try await withStub(settings: settings) { stub, store async throws in
            for (status, body, wanted) in [
                (200, "<Error><Code>InternalError</Code></Error>", ObjectStoreError.Kind.unavailable),
                (200, "garbage", .corrupt("unreadable reply to completion")), (409, "", .conflict),
            ] {
                stub.script(S3Stub.Canned(method: .POST, uriPart: "uploadId", status: status, body: body))
                let kind = await kind { () async throws(ObjectStoreError) in
                    try await store.put("k", bytes(3000), ifAbsent: true)
                }
                #expect(kind == wanted)
                #expect(stub.openUploads == 0)
            }
        }
    }

    @Test("an object that appears during the upload wins", arguments: [true, false])
    func lostRace(conditional: Bool) async throws {
        var behaviour = S3Stub.Behaviour()
        behaviour.honoursIfNoneMatch = conditional
        var settings = settings
        settings.capabilities.conditionalMultipart = conditional
        try await withStub(behaviour, settings: settings) { stub, store async throws in
            _ = try await store.put("k", bytes(7), ifAbsent: true)
            let upload = S3Multipart(store: store, key: "k", body: bytes(3000), ifAbsent: true)
            #expect(try await upload.runUnseen() == .alreadyExists)
            #expect(try await store.get("k") == bytes(7))
            #expect(stub.openUploads == 0)
        }
    }

    @Test("a cancelled upload is aborted")
    func cancelled() async throws {
        try await withStub(settings: settings) { stub, store async throws in
            stub.script(S3Stub.Canned(method: .PUT, uriPart: "partNumber=2", hangs: true))
            let task = Task {
                await kind { () async throws(ObjectStoreError) in
                    try await store.put("k", bytes(5500), ifAbsent: true)
                }
            }
            while !stub.log.contains(where: { $0.contains("partNumber=2") }) { await Task.yield() }
            task.cancel()
            #expect(await task.value == .cancelled)
            #expect(stub.openUploads == 0 && stub.objects.isEmpty)
        }
    }
}
