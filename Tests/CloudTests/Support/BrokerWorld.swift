import GroupCoordination
import KafkaListener
import KafkaProtocol
import Ledger
import Logging
import NIOCore
import NIOPosix
import ObjectStore
import Synchronization

@testable import Cloud

/// A broker over a store and a ledger in memory, and a client that speaks to it without a socket.
final class BrokerWorld: Sendable {
    let memory: MemoryStore
    let store: FaultyStore
    let log: MemoryFencedLog
    let ledger: Ledger
    let broker: CloudBroker
    let wall: WallNow
    private let connection: KafkaConnection
    private let closed: EventLoopPromise<Void>

    private init(
        _ memory: MemoryStore, _ store: FaultyStore, _ log: MemoryFencedLog, _ ledger: Ledger, _ broker: CloudBroker,
        _ wall: WallNow
    ) {
        self.memory = memory
        self.store = store
        self.log = log
        self.ledger = ledger
        self.broker = broker
        self.wall = wall
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        closed = loop.makePromise()
        connection = KafkaConnection(
            id: 1, peer: nil, eventLoop: loop, closeFuture: closed.futureResult, closer: {})
    }

    /// Quick settings, unless a test changes them.
    static func settings(_ change: (inout CloudConfiguration) -> Void = { _ in }) -> CloudConfiguration {
        var configuration = CloudConfiguration()
        configuration.produce.interval = .milliseconds(5)
        configuration.groups.initialRebalanceDelay = .milliseconds(20)
        configuration.retention.interval = .hours(1)
        configuration.housekeeping.interval = .hours(1)
        // The records of tests are old.
        configuration.topics.retentionMs = -1
        configuration.adoption.interval = .hours(1)
        configuration.adoption.quarantineRetry = .nanoseconds(0)
        change(&configuration)
        return configuration
    }

    /// Runs `body` with a running broker, and stops it after.
    static func run(
        _ configuration: CloudConfiguration = settings(), memory: MemoryStore = MemoryStore(),
        log: MemoryFencedLog = MemoryFencedLog(), script: FaultScript = FaultScript(),
        around: @Sendable (any ObjectStore) -> any ObjectStore = { $0 },
        _ body: @Sendable @escaping (BrokerWorld) async throws -> Void
    ) async throws {
        let wall = WallNow()
        let store = FaultyStore(memory, script)
        let ledger = try await Ledger.open(log: log)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let world = CloudWorld(wallMs: { wall.ms })
        let broker = try await CloudBroker.open(
            configuration: configuration, ledger: ledger, store: around(store), world: world,
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        let subject = BrokerWorld(memory, store, log, ledger, broker, wall)
        defer { subject.closed.succeed() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await broker.run() }
            do { try await body(subject) } catch {
                await broker.shutdown()
                group.cancelAll()
                for try await _ in group {}
                await broker.close()
                throw error
            }
            await broker.shutdown()
            group.cancelAll()
        }
        await broker.close()
        await ledger.close()
    }

    /// One request as a client sends it. Nil: no answer.
    func call<Request: RequestMessage>(
        _ request: Request, version: Int16? = nil, clientID: String? = "test"
    ) async throws -> Request.Response? {
        let version = version ?? Request.versions.upperBound
        let parsed = try Self.parsed(request, version: version, clientID: clientID)
        let (broker, connection) = (broker, connection)
        let response = try await connection.eventLoop.flatSubmit { broker.handle(parsed, on: connection) }.get()
        guard let response else { return nil }
        var answer = ByteBuffer()
        for chunk in response.chunks { answer.writeImmutableBuffer(chunk) }
        response.whenDone?()
        answer.moveReaderIndex(forwardBy: 4)
        return try WireFrame.decodeResponse(to: Request.self, version: version, from: answer).response
    }

    /// A request as the listener hands it over.
    static func parsed<Request: RequestMessage>(
        _ request: Request, version: Int16, clientID: String? = "test"
    ) throws -> KafkaRequest {
        let header = RequestHeader(
            apiKey: Request.apiKey, apiVersion: version, correlationID: 7, clientID: clientID)
        let frame = try WireFrame.request(request, version: version, correlationID: 7, clientID: clientID)
        var bytes = ByteBuffer()
        for chunk in frame { bytes.writeImmutableBuffer(chunk) }
        bytes.moveReaderIndex(forwardBy: 4)
        _ = try RequestHeader(reading: &bytes)
        return KafkaRequest(header: header, body: bytes, receivedNs: 0)
    }

    /// The same where an answer must come.
    func ask<Request: RequestMessage>(_ request: Request, version: Int16? = nil) async throws -> Request.Response {
        guard let response = try await call(request, version: version) else { throw NoAnswer() }
        return response
    }

    /// Random bytes as a body: an answer or a failed request, never a trap.
    func callGarbage(_ key: APIKey, _ version: Int16) async throws {
        var random = SplitMix(seed: UInt64(key.rawValue) << 8 + UInt64(version))
        let header = RequestHeader(apiKey: key, apiVersion: version, correlationID: 7, clientID: nil)
        for length in 0..<40 {
            let body = ByteBuffer(bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) & 0x83 })
            let request = KafkaRequest(header: header, body: body, receivedNs: 0)
            let (broker, connection) = (broker, connection)
            _ = try? await connection.eventLoop.flatSubmit { broker.handle(request, on: connection) }.get()
        }
    }

    struct NoAnswer: Error {}
}

/// A wall clock that a test sets.
final class WallNow: Sendable {
    private let now = Atomic<Int64>(1_700_000_000_000)
    var ms: Int64 { now.load(ordering: .relaxed) }
    func pass(_ milliseconds: Int64) { now.add(milliseconds, ordering: .relaxed) }
}

/// Looks until something is so; the test's own time limit is the bound.
func until(_ condition: () async throws -> Bool) async throws {
    while !(try await condition()) { try await Task.sleep(for: .milliseconds(2)) }
}
