public import KafkaListener
public import KafkaProtocol

/// Where clients find coordinators: what FindCoordinator answers.
public protocol CoordinatorDirectory: Sendable {
    func coordinator(
        _ kind: CoordinatorKind, seenFrom connection: KafkaConnection
    ) -> Result<CoordinatorAddress, CoordinatorRefusal>
}

/// Key types of FindCoordinator; others are refused before a directory is asked.
public enum CoordinatorKind: Int8, Sendable {
    case group = 0
    case transaction = 1
}

public struct CoordinatorAddress: Sendable, Equatable {
    public var nodeID: Int32
    public var host: String
    public var port: Int32

    public init(nodeID: Int32, host: String, port: Int32) {
        self.nodeID = nodeID
        self.host = host
        self.port = port
    }
}

/// There is none here, and what the client should make of it.
public struct CoordinatorRefusal: Error, Equatable {
    public var code: ErrorCode
    public var message: String

    public init(code: ErrorCode, message: String) {
        self.code = code
        self.message = message
    }
}
