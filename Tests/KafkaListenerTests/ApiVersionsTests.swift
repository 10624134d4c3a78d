import KafkaProtocol
import Logging
import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaListener

@Suite struct ApiVersionsTests {
    /// Sends one request and reads the response at `version`.
    static func ask<Message: RequestMessage>(
        _ message: Message, version: Int16, of service: any KafkaService
    ) throws -> Message.Response {
        let shared = ListenerShared(
            configuration: KafkaListenerConfiguration(), service: service, logger: Logger(label: "test"))
        let channel = EmbeddedChannel()
        try KafkaListener.initialize(channel, shared: shared).wait()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let chunks = try WireFrame.request(message, version: version, correlationID: 77, clientID: "test")
        for chunk in chunks { try channel.writeInbound(chunk) }
        channel.embeddedEventLoop.run()
        var stream = ByteBuffer()
        while let chunk = try channel.readOutbound(as: ByteBuffer.self) { stream.writeImmutableBuffer(chunk) }
        let content = try #require(Wire.contents(of: stream).first)
        let (correlation, response) = try WireFrame.decodeResponse(to: Message.self, version: version, from: content)
        #expect(correlation == 77)
        return response
    }

    static func asked(name: String = "librdkafka", version: String = "2.15.0") -> ApiVersionsRequest {
        var request = ApiVersionsRequest()
        request.clientSoftwareName = name
        request.clientSoftwareVersion = version
        return request
    }

    @Test("every version lists what the service serves, and Produce from 0", arguments: Int16(0)...4)
    func versions(version: Int16) throws {
        let response = try Self.ask(Self.asked(), version: version, of: ScriptedService())
        #expect(response.errorCode == .none)
        #expect(
            response.apis == [
                .init(apiKey: 0, minVersion: 0, maxVersion: 8), .init(apiKey: 1, minVersion: 4, maxVersion: 11),
                .init(apiKey: 3, minVersion: 0, maxVersion: 8), .init(apiKey: 18, minVersion: 0, maxVersion: 4),
            ])
        #expect(response.finalizedFeaturesEpoch == (version >= 3 ? 0 : -1))
    }

    @Test("features that may be off are shown from version 4 on only", arguments: [Int16(3), 4])
    func features(version: Int16) throws {
        let response = try Self.ask(Self.asked(), version: version, of: FeaturedService())
        #expect(response.supportedFeatures.map(\.name) == (version >= 4 ? ["may.be.off", "on"] : ["on"]))
        #expect(response.finalizedFeatures == [.init(name: "on", maxVersionLevel: 2, minVersionLevel: 2)])
    }

    @Test("an unknown version is answered with version 0 and error 35", arguments: [Int16(5), 100, -1])
    func unknownVersion(version: Int16) throws {
        let line = try Line()
        let body: [UInt8] = version >= 3 ? [0, 0xff, 0xff] : []
        try line.receive(Wire.request(key: 18, version: version, correlation: 5, body: body))
        var content = try #require(Wire.contents(of: try line.sent()).first)
        #expect(content.readInteger(as: Int32.self) == 5)
        #expect(content.readInteger(as: Int16.self) == 35)
        #expect(content.readInteger(as: Int32.self) == 1)
        #expect(content.readMultipleIntegers(as: (Int16, Int16, Int16).self)! == (18, 0, 4))
        #expect(content.readableBytes == 0)
        #expect(line.channel.isActive)
    }

    @Test(
        "a client name outside Kafka's rule is an invalid request",
        arguments: [("", "1"), ("a b", "1"), ("-a", "1"), ("a", ""), ("a", "1."), ("ä", "1")])
    func softwareName(name: String, version: String) throws {
        let response = try Self.ask(Self.asked(name: name, version: version), version: 3, of: ScriptedService())
        #expect(response.errorCode == .invalidRequest)
        #expect(response.apis.isEmpty)
    }

    @Test("a body that cannot be parsed closes the connection")
    func badBody() throws {
        let line = try Line()
        try line.receive(Wire.request(key: 18, version: 3, correlation: 5, body: [0, 9]))
        #expect(!line.channel.isActive)
        #expect(line.counters.requestsFailed == 1)
    }

    @Test("the null broker knows every topic and discards what it gets")
    func nullBroker() throws {
        let service = NullKafkaService(partitionCount: 3)
        var metadata = MetadataRequest()
        metadata.topics = [.init(name: "anything")]
        let topics = try Self.ask(metadata, version: 9, of: service).topics
        #expect(topics.map(\.name) == ["anything"])
        #expect(topics.first?.partitions.map(\.index) == [0, 1, 2])

        var produce = ProduceRequest()
        produce.acks = -1
        var topic = ProduceRequest.Topic()
        topic.name = "anything"
        topic.partitions = [.init(index: 2, records: ByteBuffer(string: "no batch at all"))]
        produce.topics = [topic]
        let answer = try Self.ask(produce, version: 8, of: service)
        #expect(answer.topics.first?.partitions.first?.index == 2)
        #expect(answer.topics.first?.partitions.first?.errorCode == ErrorCode.none)

        #expect(service.apis.contains { $0.key == .fetch && $0.minVersion <= 4 }, "librdkafka wants it for magic 2")
        var fetch = FetchRequest()
        var wanted = FetchRequest.Topic()
        wanted.name = "anything"
        wanted.partitions = [.init()]
        fetch.topics = [wanted]
        let empty = try Self.ask(fetch, version: 12, of: service)
        #expect(empty.topics.first?.partitions.first?.records?.readableBytes == 0)

        let first = try Self.ask(InitProducerIDRequest(), version: 4, of: service).producerID
        #expect(try Self.ask(InitProducerIDRequest(), version: 4, of: service).producerID == first + 1)
    }
}

private struct FeaturedService: KafkaService {
    let apis: [SupportedAPI] = []
    let features = [
        FinalizedFeature(name: "may.be.off", supported: 0...1, level: 0),
        FinalizedFeature(name: "on", supported: 1...2, level: 2),
    ]

    func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        connection.eventLoop.makeSucceededFuture(nil)
    }
}
