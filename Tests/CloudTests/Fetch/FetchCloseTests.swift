import KafkaListener
import KafkaProtocol
import NIOCore
import NIOPosix
import Testing

@testable import Cloud

@Suite("Fetch of a connection that closes", .timeLimit(.minutes(1)))
struct FetchCloseTests {
    /// Connections of their own, to close one by one.
    private struct Peer {
        let connection: KafkaConnection
        let closed: EventLoopPromise<Void>

        init(id: UInt64) {
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            closed = loop.makePromise()
            connection = KafkaConnection(
                id: id, peer: nil, eventLoop: loop, closeFuture: closed.futureResult, closer: {})
        }

        func fetch(_ world: BrokerWorld, _ request: FetchRequest) throws -> EventLoopFuture<KafkaResponse?> {
            let parsed = try BrokerWorld.parsed(request, version: 12)
            let (broker, connection) = (world.broker, connection)
            return connection.eventLoop.flatSubmit { broker.handle(parsed, on: connection) }
        }
    }

    @Test("a long poll ends with its connection: no answer, no watcher, no memory")
    func longPoll() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let peer = Peer(id: 2)
            let answer = try peer.fetch(world, world.fetchRequest([(0, 0)], maxWaitMs: 50_000))
            try await until { world.broker.engine.watchers.count == 1 }
            peer.closed.succeed()
            #expect(try await answer.get() == nil)
            #expect(world.broker.engine.watchers.count == 0)
            #expect(world.broker.engine.allowance.usedBytes == 0)
        }
    }

    @Test("fetches that wait for the memory of responses build nothing once their clients have gone")
    func crowd() async throws {
        let settings = BrokerWorld.settings { $0.fetch.responsesBytesMax = 2_000 }
        try await BrokerWorld.run(settings) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make([String(repeating: "x", count: 5_000)]))
            let allowance = world.broker.engine.allowance
            let first = Peer(id: 2)
            let request = world.fetchRequest([(0, 0)], maxWaitMs: 50_000)
            let held = try #require(try await first.fetch(world, request).get())
            #expect(allowance.usedBytes == 2_000, "held until the client took it")
            let others = (3..<23).map { Peer(id: $0) }
            let answers = try others.map { try $0.fetch(world, request) }
            try await until { world.broker.engine.watchers.count == others.count }
            for other in others { other.closed.succeed() }
            for answer in answers { #expect(try await answer.get() == nil) }
            held.whenDone?()
            #expect(allowance.usedBytes == 0)
            #expect(world.broker.engine.watchers.count == 0)
            first.closed.succeed()
        }
    }

    @Test("a fetch of a connection that has gone already is not begun")
    func goneBefore() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["x"]))
            let peer = Peer(id: 2)
            peer.closed.succeed()
            #expect(try await peer.fetch(world, world.fetchRequest([(0, 0)])).get() == nil)
            #expect(world.broker.engine.allowance.usedBytes == 0)
        }
    }
}
