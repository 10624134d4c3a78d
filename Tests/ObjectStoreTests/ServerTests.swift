import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import Testing

@testable import ObjectStore

/// The S3 store against servers of others. Each test starts its server once and ends it.
@Suite("S3 store against real servers", .serialized, .timeLimit(.minutes(5)))
struct ServerTests {
    private static let credentials = S3Credentials(accessKeyID: "cairn", secretAccessKey: "cairn-secret")

    private func withStore(
        _ server: ServerProcess, port: Int, credentials: S3Credentials? = credentials,
        _ body: (S3Store) async throws -> Void
    ) async throws {
        var configuration = S3Configuration(
            endpoint: "http://127.0.0.1:\(port)", bucket: "cairn-test", credentials: credentials)
        configuration.attemptTimeout = .seconds(30)
        let client = S3Store.makeHTTPClient(configuration)
        do {
            try await server.ready("http://127.0.0.1:\(port)/")
            try await body(S3Store(configuration: configuration, httpClient: client))
        } catch {
            Issue.record("\(error)\n\(server.output)")
        }
        try await client.shutdown()
    }

    /// Makes the bucket, which no store of ours does by itself. A server that has just begun to listen may not be ready to store.
    private func makeBucket(_ store: S3Store) async throws {
        var random = SystemRandomNumberGenerator()
        try await withRetry(
            RetryPolicy(attemptsMax: 40, base: .milliseconds(200), cap: .milliseconds(500)), clock: .continuous,
            using: &random
        ) { _ async throws(ObjectStoreError) in
            let request = S3Request(
                operation: .open, key: "", method: .PUT, path: store.transport.endpoint.path(key: nil))
            let reply = try await store.transport.send(request)
            guard reply.status == 200 || reply.status == 409 else { throw store.failure(request, reply) }
            _ = try await store.put("ready", ByteBuffer(string: "ready"), ifAbsent: false)
        }
    }

    @Test(
        "SeaweedFS: conforms, is probed, signs are checked",
        .enabled(if: ServerProcess.has("weed"), ServerProcess.absence("weed")))
    func seaweed() async throws {
        let ports = try ServerProcess.freePorts(10)
        let server = try ServerProcess("weed", environment: ["GOMEMLIMIT=400MiB"]) { directory in
            let identity = """
                {"identities":[{"name":"cairn","credentials":[{"accessKey":"cairn","secretKey":"cairn-secret"}],
                "actions":["Admin","Read","Write","List","Tagging"]}]}
                """
            try Data(identity.utf8).write(to: URL(filePath: directory + "/s3.json"))
            try FileManager.default.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
            let names = ["master", "volume", "filer", "s3", "admin"].flatMap { ["\($0).port", "\($0).port.grpc"] }
            return [
                "mini", "-dir=\(directory)/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-s3.config=\(directory)/s3.json",
                "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
            ] + zip(names, ports).map { "-\($0)=\($1)" }
        }
        try await withStore(server, port: ports[6]) { store async throws in
            try await makeBucket(store)
            try await checkConformance(store, prefix: "c/", byteOrder: false)
            let report = try await StoreProbe(store).run()
            #expect(report.capabilities == StoreCapabilities(listInByteOrder: false), "\(report)")
            try await checkMultipart(store)
            try await checkResumable(store)
            try await checkPresigned(store)
            try await checkPages(store)
            for payloadMax in [0, nil] {
                var configuration = store.configuration
                configuration.signedPayloadBytesMax = payloadMax
                configuration.credentials?.secretAccessKey = "wrong"
                try await withClient(configuration) { wrong async throws in
                    let kind = await kind { () async throws(ObjectStoreError) in
                        try await wrong.put("k", bytes(10), ifAbsent: false)
                    }
                    #expect(kind == .denied)
                }
            }
            // A clock that is years off is healed by the server's own answer.
            try await withClient(store.configuration, nowMs: { WallClock.nowMs() - 300_000_000_000 }) {
                late async throws in
                _ = try await late.put("late", bytes(10), ifAbsent: true)
                #expect(try await late.get("late") == bytes(10))
                #expect(late.clockOffset > .seconds(299_000_000))
            }
        }
    }

    @Test("moto: conforms", .enabled(if: ServerProcess.has("moto_server"), ServerProcess.absence("moto_server")))
    func moto() async throws {
        let ports = try ServerProcess.freePorts(1)
        let server = try ServerProcess("moto_server") { _ in ["-H", "127.0.0.1", "-p", "\(ports[0])"] }
        try await withStore(server, port: ports[0]) { store async throws in
            try await makeBucket(store)
            try await checkConformance(store, prefix: "c/")
            let report = try await StoreProbe(store).run()
            #expect(report.capabilities == StoreCapabilities(), "\(report)")
            try await checkMultipart(store)
            try await checkPages(store)
        }
    }

    @Test(
        "rclone: that it ignores If-None-Match is found out, and then worked around",
        .enabled(if: ServerProcess.has("rclone"), ServerProcess.absence("rclone")))
    func rclone() async throws {
        let ports = try ServerProcess.freePorts(1)
        let server = try ServerProcess("rclone", environment: ["GOMEMLIMIT=400MiB"]) { directory in
            try FileManager.default.createDirectory(atPath: directory + "/data", withIntermediateDirectories: true)
            return [
                "serve", "s3", "--addr", "127.0.0.1:\(ports[0])", "--auth-key", "cairn,cairn-secret",
                directory + "/data",
            ]
        }
        try await withStore(server, port: ports[0]) { store async throws in
            try await makeBucket(store)
            let report = try await StoreProbe(store).run()
            #expect(!report.capabilities.conditionalCreate && !report.capabilities.conditionalMultipart, "\(report)")
            #expect(!report.capabilities.rangedGet && report.capabilities.listAfterWrite, "\(report)")
            let adapted = store.adapted(to: report.capabilities)
            _ = try await adapted.put("once", bytes(10, seed: 1), ifAbsent: true)
            #expect(try await adapted.put("once", bytes(10, seed: 2), ifAbsent: true) == .alreadyExists)
            #expect(try await adapted.get("once", range: 2..<5) == bytes(10, seed: 1).getSlice(at: 2, length: 3))
        }
    }

    private func withClient(
        _ configuration: S3Configuration, nowMs: @escaping @Sendable () -> Int64 = WallClock.nowMs,
        _ body: (S3Store) async throws -> Void
    ) async throws {
        let client = S3Store.makeHTTPClient(configuration)
        do {
            try await body(S3Store(configuration: configuration, httpClient: client, wallClockMs: nowMs))
        } catch {
            Issue.record("\(error)")
        }
        try await client.shutdown()
    }

    /// 11 MiB in parts of 5 MiB, the smallest that S3 takes.
    private func checkMultipart(_ store: S3Store) async throws {
        var configuration = store.configuration
        configuration.multipartThresholdBytes = 8 << 20
        configuration.partSizeBytes = 5 << 20
        try await withClient(configuration) { store async throws in
            let body = ByteBuffer(repeating: 0x5A, count: 11 << 20)
            guard case .created = try await store.put("parts/big", body, ifAbsent: true) else {
                Issue.record("not created")
                return
            }
            #expect(try await store.head("parts/big")?.sizeBytes == 11 << 20)
            #expect(
                try await store.get("parts/big", range: 5_242_870..<5_242_890) == ByteBuffer(repeating: 0x5A, count: 20)
            )
            #expect(try await store.put("parts/big", body, ifAbsent: true) == .alreadyExists)
            let unseen = S3Multipart(store: store, key: "parts/big", body: body, ifAbsent: true)
            #expect(try await unseen.runUnseen() == .alreadyExists)
        }
    }

    /// 12 MiB stopped within the third part, gone on with by another process; then a leftover is swept up.
    private func checkResumable(_ store: S3Store) async throws {
        let directory = TemporaryDirectory()
        func process() -> S3Store {
            store.remembering(MultipartJournalFile(path: directory.path + "/uploads.json"))
        }
        let body = bytes(12 << 20)
        let slow = 1000.0
        for (key, stopsAfter) in [("resumed/a", 11 << 20), ("resumed/b", 6 << 20)] {
            let kind = await kind { () async throws(ObjectStoreError) in
                let pace = CountingPace(pause: .zero, stopsAfter: stopsAfter, linkBytesPerSecond: slow)
                return try await process().put(key, body, ifAbsent: true, pace: pace)
            }
            #expect(kind == .cancelled)
            #expect(try await store.head(key) == nil)
        }
        let pace = CountingPace(pause: .zero, linkBytesPerSecond: slow)
        guard case .created = try await process().put("resumed/a", body, ifAbsent: true, pace: pace) else {
            Issue.record("not created")
            return
        }
        #expect(pace.admitted == 2 << 20)
        #expect(try await store.get("resumed/a") == body)
        #expect(try await process().abortLeftovers(prefix: "resumed/") == 0, "what is remembered stays")
        process().forgetUploads(prefix: "resumed/", keeping: [])
        #expect(try await process().abortLeftovers(prefix: "resumed/") == 1)
        #expect(try await process().abortLeftovers(prefix: "resumed/") == 0)
        #expect(process().journal?.entries.isEmpty == true)
    }

    private func checkPresigned(_ store: S3Store) async throws {
        let put = try #require(store.presignedURL(.put, key: "presigned key", expiresSeconds: 60))
        var request = HTTPClientRequest(url: put)
        request.method = .PUT
        request.body = .bytes(bytes(77))
        #expect(try await HTTPClient.shared.execute(request, timeout: .seconds(10)).status == .ok)
        #expect(try await store.get("presigned key") == bytes(77))
        let get = try #require(store.presignedURL(.get, key: "presigned key", expiresSeconds: 60))
        let reply = try await HTTPClient.shared.execute(HTTPClientRequest(url: get), timeout: .seconds(10))
        #expect(try await reply.body.collect(upTo: 1000) == bytes(77))
        let bent = HTTPClientRequest(url: get.replacing("presigned%20key", with: "c/basic/a"))
        #expect(try await HTTPClient.shared.execute(bent, timeout: .seconds(10)).status == .forbidden)
    }

    /// More objects than one page of the server holds.
    private func checkPages(_ store: S3Store) async throws {
        let keys = (0..<1203).map { "pages/" + String(String($0 + 10_000).dropFirst()) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for start in 0..<16 {
                group.addTask {
                    for key in stride(from: start, to: keys.count, by: 16).map({ keys[$0] }) {
                        _ = try await store.put(key, ByteBuffer(string: "x"), ifAbsent: true)
                    }
                }
            }
            try await group.waitForAll()
        }
        let whole = try await store.list(prefix: "pages/", limit: 5000)
        #expect(whole.objects.map(\.key) == keys && whole.next == nil)
        let first = try await store.list(prefix: "pages/", limit: 1100)
        #expect(first.objects.map(\.key) == Array(keys[..<1100]) && first.next == keys[1099])
        let rest = try await store.list(prefix: "pages/", startAfter: first.next, limit: 1100)
        #expect(rest.objects.map(\.key) == Array(keys[1100...]) && rest.next == nil)
        #expect(try await store.delete(keys).isEmpty)
        #expect(try await store.list(prefix: "pages/", limit: 10).objects.isEmpty)
    }
}
