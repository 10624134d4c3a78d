import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import ObjectStore

@Suite("A store without keys", .timeLimit(.minutes(1))) struct PresignedStoreTests {
    private final class Desk: Sendable {
        let urls = Mutex<[String: String]>([:])
        let wanted = Mutex<[String]>([])

        var permissions: PresignedStore.Permissions {
            .init(
                url: { use, key in self.urls.withLock { $0["\(use) \(key)"] } },
                wanted: { use, key, refused in
                    self.wanted.withLock { $0.append("\(use) \(key) \(refused == nil ? "none" : "refused")") }
                })
        }

        func permit(_ use: PresignedUse, _ key: String, by store: S3Store) {
            let url = store.presigned(use, key: key, expiresSeconds: 60, timeMs: 1_700_000_000_000)?.text
            urls.withLock { $0["\(use) \(key)"] = url }
        }
    }

    private func keyless(_ store: S3Store, _ desk: Desk) throws -> PresignedStore {
        try PresignedStore(configuration: store.configuration, httpClient: .shared, permissions: desk.permissions)
    }

    @Test("creates once, reads back, and sends nothing that the URL does not cover")
    func creates() async throws {
        try await withStub { stub, store async throws in
            let desk = Desk()
            let keyless = try keyless(store, desk)
            for use in [PresignedUse.create, .read] { desk.permit(use, "k", by: store) }
            #expect(desk.urls.withLock { $0["create k"]?.contains("SignedHeaders=host%3Bif-none-match") } == true)
            #expect(try await keyless.head("k") == nil)
            let body = ByteBuffer(string: "hello")
            guard case .created = try await keyless.put("k", body, ifAbsent: true) else {
                Issue.record("not created")
                return
            }
            #expect(try await keyless.put("k", ByteBuffer(string: "other"), ifAbsent: true) == .alreadyExists)
            #expect(try await keyless.get("k", range: nil) == body)
            #expect(try await keyless.get("k", range: 1..<3) == ByteBuffer(string: "el"))
            #expect(try await keyless.head("k")?.sizeBytes == 5)
            let puts = stub.requests.filter { $0.method == .PUT }
            #expect(puts.count == 2)
            for put in puts {
                #expect(put.headers["if-none-match"] == ["*"])
                #expect(!put.headers.contains { $0.name.hasPrefix("x-amz") || $0.name == "authorization" })
            }
            #expect(desk.wanted.withLock { $0 }.isEmpty)
        }
    }

    @Test("without a permission, and with one that is over, it asks and says when to come again")
    func asks() async throws {
        try await withStub { stub, store async throws in
            let desk = Desk()
            let keyless = try keyless(store, desk)
            func kind(_ body: () async throws -> Void) async -> ObjectStoreError.Kind? {
                do {
                    try await body()
                    return nil
                } catch { return (error as? ObjectStoreError)?.kind }
            }
            let body = ByteBuffer(string: "hello")
            let pause = ObjectStoreError.Kind.throttled(retryAfter: .seconds(2))
            #expect(await kind { _ = try await keyless.put("k", body, ifAbsent: true) } == pause)
            desk.permit(.create, "k", by: store)
            stub.script(
                S3Stub.Canned(
                    method: .PUT, status: 403,
                    body: "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"))
            #expect(await kind { _ = try await keyless.put("k", body, ifAbsent: true) } == pause)
            // A permission to create is none to overwrite.
            #expect(await kind { _ = try await keyless.put("k", body, ifAbsent: false) } == pause)
            #expect(await kind { _ = try await keyless.get("k", range: nil) } == pause)
            #expect(
                desk.wanted.withLock { $0 } == ["create k none", "create k refused", "overwrite k none", "read k none"])
            // What is not the permission's fault stays what it is.
            stub.script(S3Stub.Canned(method: .PUT, status: 503))
            #expect(await kind { _ = try await keyless.put("k", body, ifAbsent: true) } == .throttled(retryAfter: nil))
            #expect(await kind { _ = try await keyless.list(prefix: "", limit: 1) } != nil)
            #expect(await kind { _ = try await keyless.delete(["k"]) } != nil)
            #expect(desk.wanted.withLock { $0.count } == 4)
        }
    }
}
