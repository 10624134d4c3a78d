import KafkaProtocol
import NIOCore
import Testing

/// Every request that the module describes, and so every response.
enum Catalogue {
    static let requests: [any RequestMessage.Type] = [
        ApiVersionsRequest.self, MetadataRequest.self, ProduceRequest.self, FetchRequest.self, ListOffsetsRequest.self,
        InitProducerIDRequest.self, FindCoordinatorRequest.self, JoinGroupRequest.self, SyncGroupRequest.self,
        HeartbeatRequest.self, LeaveGroupRequest.self, OffsetCommitRequest.self, OffsetFetchRequest.self,
        ListGroupsRequest.self, DescribeGroupsRequest.self, DeleteGroupsRequest.self, CreateTopicsRequest.self,
        DeleteTopicsRequest.self, CreatePartitionsRequest.self, DescribeConfigsRequest.self,
        DescribeClusterRequest.self, OffsetForLeaderEpochRequest.self, DeleteRecordsRequest.self,
        AddPartitionsToTxnRequest.self, AddOffsetsToTxnRequest.self, EndTxnRequest.self, WriteTxnMarkersRequest.self,
        TxnOffsetCommitRequest.self, DescribeProducersRequest.self, DescribeTransactionsRequest.self,
        ListTransactionsRequest.self, IncrementalAlterConfigsRequest.self, AlterConfigsRequest.self,
        OffsetDeleteRequest.self, DescribeTopicPartitionsRequest.self, DescribeLogDirsRequest.self,
        ListConfigResourcesRequest.self,
    ]

    static var exchanges: [Exchange] {
        requests.flatMap { type in type.versions.map { Exchange(type: type, version: $0) } }
    }
}

/// A request kind at one version.
struct Exchange: CustomTestStringConvertible, Sendable {
    let type: any RequestMessage.Type
    let version: Int16
    var testDescription: String { "\(type.apiKey.name) v\(version)" }
    var isFlexible: Bool { type.isFlexible(version) }

    /// Calls `body` for the request and for the response.
    func both(_ body: (any MessageCheck) throws -> Void) throws {
        try body(type.requestCheck(version))
        try body(type.responseCheck(version))
    }
}

extension RequestMessage {
    fileprivate static func requestCheck(_ version: Int16) -> any MessageCheck {
        Check<Self>(version: version, isFlexible: isFlexible(version), direction: "request")
    }

    fileprivate static func responseCheck(_ version: Int16) -> any MessageCheck {
        Check<Response>(version: version, isFlexible: isFlexible(version), direction: "response")
    }
}

/// What the tests do with a message without naming its type.
protocol MessageCheck {
    var direction: String { get }
    /// An invented message and its bytes.
    func invent(seed: UInt64, isPlain: Bool) throws -> (message: any WireMessage, bytes: ByteBuffer)
    func decode(_ bytes: ByteBuffer) throws(WireError) -> any WireMessage
    func encode(_ message: any WireMessage) throws -> ByteBuffer
    func isEqual(_ one: any WireMessage, _ other: any WireMessage) -> Bool
    func describe(_ message: any WireMessage) throws -> [String]
}

private struct Check<Message: WireMessage>: MessageCheck {
    let version: Int16
    let isFlexible: Bool
    let direction: String

    func invent(seed: UInt64, isPlain: Bool) throws -> (message: any WireMessage, bytes: ByteBuffer) {
        let message = try InventingCoder.message(
            Message.self, seed: seed, version: version, isFlexible: isFlexible, isPlain: isPlain)
        return (message, try encode(message))
    }

    func decode(_ bytes: ByteBuffer) throws(WireError) -> any WireMessage {
        var rest = bytes
        return try decodeMessage(Message.self, from: &rest, version: version, flexible: isFlexible)
    }

    func encode(_ message: any WireMessage) throws -> ByteBuffer {
        var writer = WireWriter(version: version, isFlexible: isFlexible)
        try encodeMessage(message as! Message, into: &writer)
        return writer.joined
    }

    func isEqual(_ one: any WireMessage, _ other: any WireMessage) -> Bool { one as! Message == other as! Message }

    func describe(_ message: any WireMessage) throws -> [String] {
        var coder = DescribingCoder(version: version, isFlexible: isFlexible)
        var copy = message as! Message
        try coder.structure(&copy)
        return coder.leaves
    }
}

extension WireWriter {
    /// All chunks in one.
    var joined: ByteBuffer {
        chunks.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }
}
