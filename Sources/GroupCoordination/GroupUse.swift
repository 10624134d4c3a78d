import NIOCore

/// What the members of a group read.
enum GroupUse: Equatable, Sendable {
    /// There are no members.
    case none
    case topics(Set<String>)
    /// Members have not said it in a way that can be read, or not yet: it may be anything.
    case unknown
    /// The members are no consumers.
    case otherProtocol

    func reads(_ topic: String) -> Bool {
        switch self {
        case .none, .otherProtocol: false
        case .topics(let names): names.contains(topic)
        case .unknown: true
        }
    }
}

extension ClassicGroup {
    /// Source: Kafka 4.3, `ClassicGroup.computeSubscribedTopics`.
    var use: GroupUse {
        guard !members.isEmpty else { return .none }
        guard protocolType == "consumer" else { return .otherProtocol }
        guard let protocolName else { return .unknown }
        var topics: Set<String> = []
        for member in members.values {
            guard let names = member.metadata(for: protocolName).flatMap(ConsumerSubscription.topics) else {
                return .unknown
            }
            topics.formUnion(names)
        }
        return .topics(topics)
    }
}

/// What consumers send as the metadata of a group protocol. Its fields are not flexible in any version, and the topics are the first.
/// Source: Kafka protocol guide, ConsumerProtocolSubscription.
enum ConsumerSubscription {
    /// Nil for bytes that are none.
    static func topics(_ metadata: ByteBuffer) -> [String]? {
        var bytes = metadata
        guard let version = bytes.readInteger(as: Int16.self), version >= 0,
            let count = bytes.readInteger(as: Int32.self), count >= 0, Int(count) <= bytes.readableBytes / 2
        else { return nil }
        var names: [String] = []
        names.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let length = bytes.readInteger(as: Int16.self), length >= 0,
                let name = bytes.readString(length: Int(length))
            else { return nil }
            names.append(name)
        }
        return names
    }
}
