import AsyncHTTPClient
import Edge
import Logging
import NIOCore
import ObjectStore
import ServiceLifecycle
import Synchronization
import TransportTLS

/// The object store of a node: opened at once, so that a node starts without it, probed when it can be reached, and from
/// then on used as the probe found it. All keys stand under the prefix of `store.url`.
final class OpenedStore: ObjectStore {
    private let current: Mutex<any ObjectStore>
    private let prefix: String
    private let client: HTTPClient?
    /// Nil where no setting says anything.
    private let tls: LiveClientTLS?
    private let clock: any Edge.WallClock
    let description: String
    private let canBeProbed: Bool
    /// Where permissions come from, for a store without keys.
    let grants: GrantKeeper?

    /// - Parameters:
    ///   - progressTimeout: nil keeps the store's default.
    ///   - journal: where uploads in parts are remembered; nil aborts those that fail.
    init(
        _ settings: StoreSettings, progressTimeout: Duration? = nil, journal: (any MultipartJournal)? = nil,
        clock: any Edge.WallClock = SystemWallClock()
    ) throws {
        canBeProbed = true
        self.clock = clock
        grants = nil
        switch settings {
        case .directory(let path):
            current = Mutex(try DirectoryStore(root: path))
            prefix = ""
            (client, tls) = (nil, nil)
            description = "directory \(path)"
        case .stub(let bytesMax):
            current = Mutex(StubStore(bytesMax: bytesMax))
            prefix = ""
            (client, tls) = (nil, nil)
            description = "memory, the newest \(bytesMax >> 20) MiB only: for benches"
        case .s3(let s3):
            var configuration = S3Configuration(
                endpoint: s3.endpoint, bucket: s3.bucket, region: s3.region,
                credentials: S3Credentials(
                    accessKeyID: s3.accessKey, secretAccessKey: s3.secretKey, sessionToken: s3.sessionToken),
                pathStyle: s3.pathStyle)
            configuration.connectionsMax = 32
            if let progressTimeout { configuration.progressTimeout = progressTimeout }
            tls = try LiveClientTLS.make(s3.tls)
            let client = try Self.client(configuration, s3, tls, clock)
            do {
                current = Mutex(
                    try S3Store(configuration: configuration, httpClient: client, journal: journal, tls: tls))
            } catch {
                try? client.syncShutdown()
                throw error
            }
            self.client = client
            prefix = s3.prefix.isEmpty ? "" : s3.prefix + "/"
            description = "s3://\(s3.bucket)/\(s3.prefix) at \(s3.endpoint)"
        }
    }

    /// Without keys: what may be done comes from `grants`.
    init(_ s3: StoreSettings.S3, grants: GrantKeeper, progressTimeout: Duration, clock: any Edge.WallClock) throws {
        self.grants = grants
        self.clock = clock
        var configuration = S3Configuration(
            endpoint: s3.endpoint, bucket: s3.bucket, region: s3.region, credentials: nil, pathStyle: s3.pathStyle)
        configuration.progressTimeout = progressTimeout
        configuration.connectionsMax = 32
        tls = try LiveClientTLS.make(s3.tls)
        let client = try Self.client(configuration, s3, tls, clock)
        do {
            current = Mutex(
                try PresignedStore(
                    configuration: configuration, httpClient: client, permissions: grants.permissions, tls: tls))
        } catch {
            try? client.syncShutdown()
            throw error
        }
        self.client = client
        // Permissions name whole URLs.
        prefix = ""
        description = "s3://\(s3.bucket)/\(s3.prefix) at \(s3.endpoint), by presigned URLs"
        canBeProbed = false
    }

    private static func client(
        _ configuration: S3Configuration, _ s3: StoreSettings.S3, _ tls: LiveClientTLS?, _ clock: any Edge.WallClock
    ) throws -> HTTPClient {
        let host = s3.endpoint.host.map { s3.pathStyle ? $0 : s3.bucket + "." + $0 }
        return S3Store.makeHTTPClient(
            configuration, tls: tls?.configuration,
            check: tls?.check(hosts: [host].compactMap { $0 }, now: { clock.certificateTime }))
    }

    /// Why certificates are those from before, or that they end soon; nil while all is well.
    var problem: String? { tls?.told(as: "store", clock.certificateTime) }

    /// Takes renewed certificates until the task is cancelled.
    func watchCertificates(logger: Logger) async { await tls?.watch("store", logger) }

    /// Nil where the store is not S3.
    func presigned(_ use: PresignedUse, _ key: String, _ seconds: Int, _ timeMs: Int64) -> PresignedURL? {
        (store as? S3Store)?.presigned(use, key: prefix + key, expiresSeconds: seconds, timeMs: timeMs)
    }

    /// Ends connections; calls under way fail.
    func close() async { try? await client?.shutdown() }

    /// What the store can do, found out with a few objects under `probe/` that are taken away again.
    func examine() async throws(ObjectStoreError) -> StoreProbeReport {
        try await StoreProbe(self, prefix: "probe/").run()
    }

    /// Finds out what the store can do, trying until it can be reached, and acts on it. False: it cannot be probed, or the task was cancelled.
    @discardableResult
    func probe(logger: Logger) async -> Bool {
        guard canBeProbed else { return false }
        let policy = RetryPolicy(base: .milliseconds(500), cap: .seconds(30))
        var attempt = 1
        while !Task.isCancelled {
            do {
                let report = try await examine()
                current.withLock { store in
                    if let s3 = store as? S3Store { store = s3.adapted(to: report.capabilities) }
                }
                logger.info("\(report)")
                return true
            } catch {
                logger.warning("object store not reachable yet: \(error)", metadata: ["store": "\(description)"])
                var random = SystemRandomNumberGenerator()
                let delay = policy.delay(afterAttempt: attempt, using: &random)
                attempt += 1
                try? await Task.sleep(for: delay)
            }
        }
        return false
    }

    /// Before uploads begin: forgets those in parts under `inner` that nobody will go on with.
    func forgetUploads(prefix inner: String, keeping keys: Set<String>) {
        (store as? S3Store)?.forgetUploads(prefix: prefix + inner, keeping: Set(keys.map { prefix + $0 }))
    }

    /// Ends uploads in parts under `inner` that are not remembered; see ``S3Store/abortLeftovers(prefix:)``.
    func abortLeftovers(prefix inner: String, logger: Logger) async {
        guard let s3 = store as? S3Store else { return }
        do {
            let count = try await s3.abortLeftovers(prefix: prefix + inner)
            if count > 0 { logger.info("ended uploads in parts that were left over", metadata: ["count": "\(count)"]) }
        } catch {
            logger.info("uploads in parts that are left over cannot be listed: \(error)")
        }
    }

    private var store: any ObjectStore { current.withLock { $0 } }

    func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await store.put(prefix + key, body, ifAbsent: ifAbsent)
    }

    func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult {
        try await store.put(prefix + key, body, ifAbsent: ifAbsent, pace: pace)
    }

    func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await store.put(prefix + key, body, ifAbsent: ifAbsent)
    }

    func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try await store.get(prefix + key, range: range)
    }

    func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try await store.head(prefix + key)
    }

    func list(prefix inner: String, startAfter: String?, limit: Int) async throws(ObjectStoreError) -> ListPage {
        var page = try await store.list(
            prefix: prefix + inner, startAfter: startAfter.map { prefix + $0 }, limit: limit)
        guard !prefix.isEmpty else { return page }
        page.next = page.next.map { String($0.dropFirst(prefix.count)) }
        for index in page.objects.indices { page.objects[index].key.removeFirst(prefix.count) }
        return page
    }

    func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        let failed = try await store.delete(keys.map { prefix + $0 })
        guard !prefix.isEmpty else { return failed }
        return Dictionary(uniqueKeysWithValues: failed.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
    }
}
