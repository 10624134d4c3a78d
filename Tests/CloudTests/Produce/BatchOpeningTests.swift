import KafkaListener
import KafkaProtocol
import NIOCore
import NIOPosix
import Testing

@testable import Cloud

/// Batches that open to much are opened off the event loop, and requests take effect in their order all the same.
@Suite("Opening of batches", .timeLimit(.minutes(1)))
struct BatchOpeningTests {
    /// Few bytes that open to `openedBytes`.
    private static func bomb(
        _ openedBytes: Int, producer: (id: Int64, sequence: Int32)? = nil
    ) -> ByteBuffer {
        Batches.make([String(repeating: "a", count: openedBytes)], producer: producer, zstd: true)
    }

    @Test("an idempotent producer's requests in flight keep their order, whatever each takes to open")
    func order() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            let closed = loop.makePromise(of: Void.self)
            let connection = KafkaConnection(
                id: 9, peer: nil, eventLoop: loop, closeFuture: closed.futureResult, closer: {})
            let broker = world.broker
            var requests: [KafkaRequest] = []
            for number in 0..<20 {
                let batch =
                    number % 3 == 0
                    ? Self.bomb(6 << 20, producer: (5, Int32(number)))
                    : Batches.make(["v\(number)"], producer: (5, Int32(number)))
                requests.append(
                    try BrokerWorld.parsed(world.produceRequest([(0, batch)]), version: 9))
            }
            let handed = requests
            let answers = try await loop.submit {
                handed.map { broker.handle($0, on: connection) }
            }.get()
            for (number, answer) in answers.enumerated() {
                let response = try #require(try await answer.get())
                var bytes = ByteBuffer()
                for chunk in response.chunks { bytes.writeImmutableBuffer(chunk) }
                bytes.moveReaderIndex(forwardBy: 4)
                let produced = try WireFrame.decodeResponse(to: ProduceRequest.self, version: 9, from: bytes).response
                let partition = try #require(produced.topics.first?.partitions.first)
                #expect(partition.errorCode == .none, "request \(number)")
                #expect(partition.baseOffset == Int64(number))
            }
            closed.succeed()
        }
    }

    @Test("what is refused on a thread is refused as on the loop, and the limit of decompressed bytes stays")
    func refused() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            #expect(try await world.produce(Self.bomb(65 << 20)).errorCode == .messageTooLarge)
            #expect(try await world.produce(Self.bomb(63 << 20)).errorCode == .none)
            var broken = Self.bomb(6 << 20)
            broken.setInteger(UInt8(7), at: broken.writerIndex - 1)
            #expect(try await world.produce(broken).errorCode == .corruptMessage)
            #expect(world.highWatermark() == 1)
        }
    }

    @Test("while a thread opens a batch its event loop goes on")
    func loopGoesOn() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            let connection = KafkaConnection(
                id: 9, peer: nil, eventLoop: loop, closeFuture: loop.makePromise(of: Void.self).futureResult, closer: {}
            )
            let request = try BrokerWorld.parsed(world.produceRequest([(0, Self.bomb(60 << 20))]), version: 9)
            let broker = world.broker
            let (answer, isFree) = try await loop.submit {
                let answer = broker.handle(request, on: connection)
                return (answer, connection.order.isFree)
            }.get()
            #expect(!isFree, "handed over, not opened")
            #expect(try await answer.get() != nil)
            #expect(try await loop.submit { connection.order.isFree }.get())
        }
    }
}
