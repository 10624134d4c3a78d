import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import ObjectStore

/// Settings for a stub; ``withStub`` sets the endpoint.
let stubSettings: S3Configuration = {
    let credentials = S3Credentials(accessKeyID: "id", secretAccessKey: "SECRET", sessionToken: "TOKEN")
    var settings = S3Configuration(endpoint: "http://stub", bucket: "bucket", credentials: credentials)
    settings.partRetry = RetryPolicy(attemptsMax: 3, base: .milliseconds(1), cap: .milliseconds(2))
    return settings
}()

/// A stub, a client and a store over it, for the length of `body`.
func withStub<Value>(
    _ behaviour: S3Stub.Behaviour = .init(), settings: S3Configuration = stubSettings,
    timeMs: Int64 = 1_369_353_600_000, _ body: (S3Stub, S3Store) async throws -> Value
) async throws -> Value {
    let stub = S3Stub(behaviour)
    var configuration = settings
    configuration.endpoint = "http://127.0.0.1:\(try await stub.start())"
    let client = S3Store.makeHTTPClient(configuration)
    let result: Result<Value, any Error>
    do {
        let store = try S3Store(configuration: configuration, httpClient: client, wallClockMs: { timeMs })
        result = .success(try await body(stub, store))
    } catch {
        result = .failure(error)
    }
    try await client.shutdown()
    await stub.stop()
    return try result.get()
}

@Suite("S3 store against a stub")
struct S3StoreTests {
    @Test("conforms, also to a server without ranges, batches, or with small pages")
    func conforms() async throws {
        try await withStub { _, store async throws in try await checkConformance(store, prefix: "c/") }
        var poor = S3Stub.Behaviour()
        poor.honoursRanges = false
        poor.hasBatchDelete = false
        poor.pageMax = 2
        try await withStub(poor) { _, store async throws in try await checkConformance(store, prefix: "c/") }
    }

    @Test("where create-only is ignored, HEAD then PUT stands in for it")
    func emulatedCreate() async throws {
        var poor = S3Stub.Behaviour()
        poor.honoursIfNoneMatch = false
        var settings = stubSettings
        settings.capabilities.conditionalCreate = false
        try await withStub(poor, settings: settings) { stub, store async throws in
            try await checkConformance(store, prefix: "c/", atomicCreate: false)
            stub.clearLog()
            #expect(try await store.put("new", bytes(3), ifAbsent: true) != .alreadyExists)
            #expect(stub.log == ["HEAD /bucket/new 404", "PUT /bucket/new 200"])
            #expect(stub.requests.allSatisfy { !$0.headers.contains(name: "if-none-match") })
        }
    }

    @Test("a request carries digest, date and token, no trailers, and the secret nowhere")
    func headers() async throws {
        try await withStub { stub, store async throws in
            _ = try await store.put("k", ByteBuffer(string: "Welcome to Amazon S3."), ifAbsent: true)
            let headers = try #require(stub.requests.first?.headers)
            #expect(
                headers["x-amz-content-sha256"] == ["44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"])
            #expect(headers["x-amz-date"] == ["20130524T000000Z"])
            #expect(headers["x-amz-security-token"] == ["TOKEN"])
            #expect(headers["content-length"] == ["21"])
            #expect(headers["host"].count == 1)
            #expect(!headers.contains(name: "transfer-encoding") && !headers.contains(name: "content-encoding"))
            #expect(!"\(headers)".contains("SECRET"))
        }
    }

    @Test("a large body over the limit of signing has a CRC-32C instead")
    func unsignedPayload() async throws {
        var settings = stubSettings
        settings.signedPayloadBytesMax = 8
        try await withStub(settings: settings) { stub, store async throws in
            _ = try await store.put("k", ByteBuffer(string: "123456789"), ifAbsent: true)
            let headers = try #require(stub.requests.first?.headers)
            #expect(headers["x-amz-content-sha256"] == ["UNSIGNED-PAYLOAD"])
            #expect(headers["x-amz-checksum-crc32c"] == ["4waSgw=="])
        }
    }

    struct Mapping: Sendable {
        var status: Int
        var code = ""
        var kind: ObjectStoreError.Kind
    }

    @Test(
        "statuses and codes become kinds",
        arguments: [
            Mapping(status: 403, code: "AccessDenied", kind: .denied),
            Mapping(status: 403, kind: .denied), Mapping(status: 301, code: "PermanentRedirect", kind: .denied),
            Mapping(status: 307, kind: .denied), Mapping(status: 404, code: "NoSuchBucket", kind: .denied),
            Mapping(status: 404, code: "NoSuchKey", kind: .notFound),
            Mapping(status: 409, code: "ConditionalRequestConflict", kind: .conflict),
            Mapping(status: 400, code: "RequestTimeout", kind: .timeout),
            Mapping(status: 400, code: "EntityTooLarge", kind: .invalid("refused by the store")),
            Mapping(
                status: 400, code: "BadDigest", kind: .corrupt("the store received other bytes than were sent")),
            Mapping(status: 500, code: "InternalError", kind: .unavailable), Mapping(status: 502, kind: .unavailable),
            Mapping(status: 501, kind: .invalid("not implemented by the store")),
            Mapping(status: 503, code: "SlowDown", kind: .throttled(retryAfter: nil)),
            Mapping(status: 429, kind: .throttled(retryAfter: nil)), Mapping(status: 507, kind: .full),
            Mapping(status: 412, kind: .invalid("refused by the store")),
        ])
    func mapping(_ mapping: Mapping) async throws {
        try await withStub { stub, store async throws in
            let body = mapping.code.isEmpty ? "<html>" : "<Error><Code>\(mapping.code)</Code></Error>"
            stub.script(S3Stub.Canned(status: mapping.status, body: body))
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store.put("k", bytes(1), ifAbsent: false)
            }
            #expect(kind == mapping.kind, "\(mapping.status) \(mapping.code)")
            #expect(stub.log.count == 1, "nothing is retried inside")
        }
    }

    @Test("Retry-After is read, as seconds and as a date, and bounded")
    func retryAfter() async throws {
        try await withStub { stub, store async throws in
            for (text, wanted) in [
                ("12", Duration.seconds(12)), ("99999", .seconds(3600)),
                ("Fri, 24 May 2013 00:00:30 GMT", .seconds(30)),
                ("soon", nil), ("-1", nil),
            ] {
                stub.script(S3Stub.Canned(status: 503, headers: [("retry-after", text)]))
                let kind = await kind { () async throws(ObjectStoreError) in try await store.get("k") }
                #expect(kind == .throttled(retryAfter: wanted), "\(text)")
            }
        }
    }

    @Test("a lost answer is an unknown effect, and the repetition meets its own object")
    func lostAnswer() async throws {
        try await withStub { stub, store async throws in
            stub.script(S3Stub.Canned(method: .PUT, afterEffect: true, closes: true))
            let error = await #expect(throws: ObjectStoreError.self) {
                try await store.put("k", bytes(9), ifAbsent: true)
            }
            // On a machine that is busy the attempt's time may be over before the closed connection is noticed.
            #expect(error?.kind == .unavailable || error?.kind == .timeout)
            #expect(error?.effectUnknown == true && error?.isRetryable == true)
            #expect(try await store.put("k", bytes(9), ifAbsent: true) == .alreadyExists)
        }
    }

    @Test("no answer is a timeout; a cut body is an error, never fewer bytes")
    func silenceAndCuts() async throws {
        var settings = stubSettings
        settings.attemptTimeout = .seconds(3)
        try await withStub(settings: settings) { stub, store async throws in
            _ = try await store.put("k", bytes(5000), ifAbsent: true)
            stub.script(S3Stub.Canned(method: .GET, hangs: true))
            #expect(await kind { () async throws(ObjectStoreError) in try await store.get("k") } == .timeout)
            stub.script(S3Stub.Canned(method: .GET, missingBytes: 10), S3Stub.Canned(method: .GET, missingBytes: 10))
            let whole = await kind { () async throws(ObjectStoreError) in try await store.get("k") }
            let part = await kind { () async throws(ObjectStoreError) in try await store.get("k", range: 100..<4000) }
            #expect(whole == .unavailable && part == .unavailable)
        }
    }

    @Test("a reply that stops in the middle is ended, by silence or by the caller")
    func stalledReply() async throws {
        var settings = stubSettings
        settings.progressTimeout = .milliseconds(500)
        try await withStub(settings: settings) { stub, store async throws in
            _ = try await store.put("k", bytes(5000), ifAbsent: true)
            stub.script(S3Stub.Canned(method: .GET, hangs: true, missingBytes: 10))
            #expect(await kind { () async throws(ObjectStoreError) in try await store.get("k") } == .timeout)
        }
        try await withStub { stub, store async throws in
            _ = try await store.put("k", bytes(5000), ifAbsent: true)
            stub.clearLog()
            stub.script(S3Stub.Canned(method: .GET, hangs: true, missingBytes: 10))
            let task = Task { await kind { () async throws(ObjectStoreError) in try await store.get("k") } }
            while stub.log.isEmpty { await Task.yield() }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
    }

    @Test("a body of many slices arrives as it was, and a reader that is slow to take it does not matter")
    func slices() async throws {
        let body = ByteBuffer(repeating: 7, count: 3 * PacedSlices.unpacedSliceBytes + 1)
        var behaviour = S3Stub.Behaviour()
        behaviour.readsSlowly = true
        var settings = stubSettings
        settings.progressTimeout = .milliseconds(100)
        try await withStub(behaviour, settings: settings) { stub, store async throws in
            _ = try await store.put("k", body, ifAbsent: true)
            #expect(stub.objects["k"] == body)
            #expect(stub.requests.first?.headers["content-length"] == ["\(body.readableBytes)"])
            #expect(stub.requests.first?.headers.contains(name: "transfer-encoding") == false)
        }
    }

    @Test("a body in pieces arrives as if it were one, signed as a whole or with its checksum", arguments: [nil, 1000])
    func pieces(signedMax: Int?) async throws {
        var body = ObjectBody()
        for (index, size) in [7, 300_000, 20_000, 20_000, 70_000, 1, 600_000, 17_000, 3].enumerated() {
            body.append(bytes(size, seed: UInt8(index)))
        }
        var settings = stubSettings
        settings.signedPayloadBytesMax = signedMax
        try await withStub(settings: settings) { stub, store async throws in
            #expect(try await store.put("k", body, ifAbsent: true) != .alreadyExists)
            #expect(try await store.put("k", ObjectBody(bytes(3)), ifAbsent: true) == .alreadyExists)
            #expect(stub.objects["k"] == body.joined)
            let headers = try #require(stub.requests.first?.headers)
            let whole = ObjectBody(body.joined)
            if signedMax == nil {
                #expect(headers["x-amz-content-sha256"] == [Hex.lowercase(Digest.sha256(whole))])
            } else {
                #expect(headers["x-amz-content-sha256"] == [SigV4.unsignedPayload])
                let crc = Digest.crc32c(whole)
                let sum = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: crc >> UInt32($0)) }
                #expect(headers["x-amz-checksum-crc32c"] == [Base64.encode(sum)])
            }
        }
    }

    @Test("slices end with large pieces, so that these are not copied, and put small ones together")
    func sliceSizes() async throws {
        let most = PacedSlices.unpacedSliceBytes
        var body = ObjectBody()
        for size in [20_000, 20_000, most, 100_000, most + 70_000] {
            body.append(ByteBuffer(repeating: 7, count: size))
        }
        let limits = UploadProgress.Limits(beginning: .seconds(1), piece: .seconds(1), reply: .seconds(1))
        let watch = UploadWatch(UploadProgress(limits: limits, hasBody: true, now: .now()))
        var sizes: [Int] = []
        for try await slice in PacedSlices(body: body, pace: nil, watch: watch) { sizes.append(slice.readableBytes) }
        #expect(sizes == [40_000, most, 100_000, most, 70_000])
    }

    @Test("no connection is unavailable; a cancelled call is cancelled")
    func unreachable() async throws {
        try await withStub { stub, store async throws in
            stub.script(S3Stub.Canned(method: .GET, hangs: true))
            let task = Task { await kind { () async throws(ObjectStoreError) in try await store.get("k") } }
            while stub.log.isEmpty { await Task.yield() }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
        let client = S3Store.makeHTTPClient(S3Configuration(endpoint: "http://h", bucket: "b", credentials: nil))
        let configuration = S3Configuration(endpoint: "http://127.0.0.1:1", bucket: "b", credentials: nil)
        let store = try S3Store(configuration: configuration, httpClient: client)
        #expect(await kind { () async throws(ObjectStoreError) in try await store.head("k") } == .unavailable)
        try await client.shutdown()
    }

    @Test("a wrong clock is healed from the reply's Date, once, and stays healed")
    func skew() async throws {
        let tenYearsBack: Int64 = 1_369_353_600_000 - 315_360_000_000
        try await withStub(timeMs: tenYearsBack) { stub, store async throws in
            stub.script(
                S3Stub.Canned(status: 403, body: "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
                S3Stub.Canned(method: .HEAD, status: 403))
            _ = try await store.put("k", bytes(3), ifAbsent: true)
            #expect(stub.log == ["PUT /bucket/k 403", "PUT /bucket/k 200"])
            #expect(stub.requests.map { $0.headers["x-amz-date"] } == [["20030527T000000Z"], ["20130524T000000Z"]])
            #expect(store.clockOffset == .milliseconds(315_360_000_000))
            #expect(
                await kind { () async throws(ObjectStoreError) in try await store.head("k") } == .denied,
                "the clock is right now: no second try")
        }
        try await withStub(timeMs: tenYearsBack) { stub, store async throws in
            stub.script(S3Stub.Canned(method: .HEAD, status: 403))
            #expect(try await store.head("k") == nil, "HEAD has no body to say why")
            stub.script(S3Stub.Canned(status: 403), S3Stub.Canned(status: 403))
            #expect(await kind { () async throws(ObjectStoreError) in try await store.get("k") } == .denied)
        }
        let reply = S3Reply(status: 403, headers: ["date": "Fri, 24 May 2013 00:00:00 GMT"], body: ByteBuffer())
        #expect(ClockSkew.offset(reply, signedAtMs: .min, localMs: .min) != nil, "no clock is too wrong")
    }

    @Test("ranges: what the server says is checked")
    func rangeReplies() {
        func reply(_ status: Int, _ range: String?, _ size: Int) -> S3Reply {
            S3Reply(
                status: status, headers: HTTPHeaders(range.map { [("content-range", $0)] } ?? []), body: bytes(size))
        }
        func kind(_ reply: S3Reply) -> ObjectStoreError.Kind? {
            do throws(ObjectStoreError) {
                let got = try RangeReply.bytes(of: 10..<20, in: reply, key: "k")
                return got.readableBytes == 10 ? nil : .corrupt("")
            } catch { return error.kind }
        }
        #expect(kind(reply(206, "bytes 10-19/100", 10)) == nil)
        #expect(kind(reply(200, "bytes 10-19/100", 10)) == nil, "rclone")
        #expect(kind(reply(206, nil, 10)) == nil)
        #expect(kind(reply(200, nil, 100)) == nil, "the whole object is cut")
        #expect(kind(reply(206, "bytes 10-14/15", 5)) == .rangeOutsideObject)
        #expect(kind(reply(200, nil, 15)) == .rangeOutsideObject)
        #expect(kind(reply(206, "bytes 10-19/100", 9)) == .corrupt("9 bytes for 10..<20"))
        #expect(kind(reply(206, "bytes 0-9/100", 10)) == .corrupt("range 0-9 for 10..<20"))
        #expect(kind(reply(206, nil, 11)) == .corrupt("11 bytes for 10..<20"))
        for bad in [
            "", "bytes", "bytes ", "bytes /", "bytes -5/9", "bytes 5-/9", "bytes 9-5/10", "bytes a-b/c", "items 1-2/3",
        ] {
            #expect(ContentRange(bad) == nil, "\(bad)")
        }
    }

    @Test("replies are bounded and unreadable ones are errors")
    func badReplies() async throws {
        var settings = stubSettings
        settings.objectBytesMax = 1000
        try await withStub(settings: settings) { stub, store async throws in
            _ = try await store.put("k", bytes(1001), ifAbsent: true)
            guard case .invalid = await kind({ () async throws(ObjectStoreError) in try await store.get("k") }) else {
                Issue.record("an object larger than allowed was read")
                return
            }
            #expect(try await store.get("k", range: 0..<1000).readableBytes == 1000)
            for body in [
                "", "garbage", "<Other/>", "<ListBucketResult><Contents/></ListBucketResult>",
                "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
                "<ListBucketResult><Contents><Key>stray</Key><Size>1</Size></Contents></ListBucketResult>",
            ] {
                stub.script(S3Stub.Canned(status: 200, body: body))
                let kind = await kind { () async throws(ObjectStoreError) in try await store.list(prefix: "p/") }
                guard case .corrupt = kind else {
                    Issue.record("\(body): \(String(describing: kind))")
                    continue
                }
            }
        }
    }

    @Test("a batch delete goes by thousands, with Content-MD5, and names the keys that failed")
    func batchDelete() async throws {
        try await withStub { stub, store async throws in
            let keys = (0..<2500).map { "k/\($0)" }
            #expect(try await store.delete(keys).isEmpty)
            #expect(stub.log == Array(repeating: "POST /bucket?delete= 200", count: 3))
            #expect(stub.requests.allSatisfy { $0.headers["content-md5"].first?.utf8.count == 24 })
            let text =
                "<DeleteResult><Error><Key>k/1</Key><Code>InternalError</Code></Error><Error><Key>k/2</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
            stub.script(S3Stub.Canned(method: .POST, status: 200, body: text))
            #expect(try await store.delete(["k/1", "k/2", "k/3"]).mapValues(\.kind) == ["k/1": .unavailable])
            stub.script(S3Stub.Canned(method: .POST, status: 503))
            let kind = await kind { () async throws(ObjectStoreError) in try await store.delete(["a", "b"]) }
            #expect(kind == .throttled(retryAfter: nil))
        }
    }

    @Test("presigned URLs are made for the key, and name no secret")
    func presigned() async throws {
        try await withStub { _, store async throws in
            let url = try #require(store.presignedURL(.put, key: "a b/c", expiresSeconds: 60))
            #expect(url.hasPrefix("http://127.0.0.1:") && url.contains("/bucket/a%20b/c?X-Amz-Algorithm="))
            #expect(url.contains("X-Amz-Expires=60") && !url.contains("SECRET"))
            #expect(store.presignedURL(.get, key: "../x", expiresSeconds: 60) == nil)
        }
    }

    @Test(
        "endpoints that cannot be are refused by name",
        arguments: [
            "", "host", "ftp://host", "http://", "http://ho st", "http://user:pw@host", "http://host/path",
            "http://host?x",
        ])
    func badEndpoint(text: String) {
        let configuration = S3Configuration(endpoint: text, bucket: "b", credentials: nil)
        #expect(throws: ObjectStoreError.self) { try S3Endpoint(configuration) }
    }

    @Test("settings that cannot be are refused by name")
    func badSettings() async throws {
        var settings = stubSettings
        settings.partSizeBytes = 0
        let error = await #expect(throws: ObjectStoreError.self) { try await withStub(settings: settings) { _, _ in } }
        #expect(error?.kind == .invalid("partSizeBytes is 0, at least 1"))
        settings = stubSettings
        settings.attemptTimeout = .seconds(Int64.max)
        await #expect(throws: ObjectStoreError.self) { try await withStub(settings: settings) { _, _ in } }
    }

    @Test("path style and virtual host")
    func addressing() throws {
        var configuration = S3Configuration(endpoint: "https://s3.example.com:443/", bucket: "b", credentials: nil)
        let path = try S3Endpoint(configuration)
        #expect(path.url(path: path.path(key: "a b"), query: "x=1") == "https://s3.example.com/b/a%20b?x=1")
        configuration.pathStyle = false
        let host = try S3Endpoint(configuration)
        #expect(host.url(path: host.path(key: nil), query: "") == "https://b.s3.example.com/")
        configuration.endpoint = "http://[::1]:9000"
        configuration.pathStyle = true
        #expect(try S3Endpoint(configuration).authority == "[::1]:9000")
    }
}
