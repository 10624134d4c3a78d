public import KafkaProtocol

/// Why a command has no answer. A case says what the caller may do.
public enum LedgerError: Error, Equatable {
    /// The command itself cannot be done; sending it again will not help.
    case refused(LedgerRefusal)
    /// Wait and send again: too many commands are queued.
    case overloaded(queued: Int, queuedMax: Int)
    /// Send again: the log could not be written, and the command may or may not have taken effect. Commits by key are
    /// safe to repeat.
    case unavailable(String)
    /// Another sequencer has taken over; this one will never commit again. The command may have taken effect before:
    /// repeat it there.
    case fenced(epoch: UInt64, currentEpoch: UInt64)
    /// The ledger was closed.
    case closed
    /// At open or while reading back: the stored bytes are not what the ledger wrote.
    case corrupt(LedgerFormatError)
    /// At open: the log cannot be used (held by another process, wrong settings, I/O).
    case log(FencedLogError)
}

/// A command that was read and understood, and may not be done.
public enum LedgerRefusal: Error, Equatable, Sendable {
    case topicExists(name: String, id: KafkaUUID)
    case unknownTopic(TopicReference)
    case invalidTopicName(String)
    /// `.` and `_` are the same to Kafka's metrics, so names that differ only there collide.
    case topicNameCollides(name: String, with: String)
    case invalidTopicID(KafkaUUID)
    case invalidPartitionCount(asked: Int32, present: Int32, max: Int32)
    /// The object was given up by garbage collection: write the data again under a new key.
    case tombstoned(key: String)
    /// The key was committed, but too long ago to know the answer.
    case answerForgotten(key: String)
    case nodeFenced(nodeID: Int32, epoch: Int64, currentEpoch: Int64)
    case siteSuspended(site: String)
    case incarnationFenced(site: String, incarnation: String)
    /// The object begins inside what the lane has adopted.
    case overlappingLSN(firstLSN: UInt64, expected: UInt64)
    case unknownGroup(String)
    case unknownSite(String)
    /// Somebody else changed the registration meanwhile: read it again.
    case siteChanged(site: String, version: UInt64)
    case siteRevoked(site: String)
    case topicNotAllowed(site: String, topic: String)
    case laneNotAllowed(site: String, lane: String)
    /// A value outside its range, or a size above its limit.
    case invalid(field: String, value: Int64, limit: Int64)
    case invalidText(field: String)

    /// The code a Kafka client gets for it.
    public var errorCode: ErrorCode {
        switch self {
        case .topicExists: .topicAlreadyExists
        case .unknownTopic(.name): .unknownTopicOrPartition
        case .unknownTopic(.id): .unknownTopicId
        case .invalidTopicName, .topicNameCollides: .invalidTopicException
        case .invalidPartitionCount: .invalidPartitions
        case .unknownGroup: .groupIdNotFound
        case .nodeFenced: .notLeaderOrFollower
        case .tombstoned, .answerForgotten: .requestTimedOut
        case .topicNotAllowed: .topicAuthorizationFailed
        case .invalidTopicID, .siteSuspended, .incarnationFenced, .overlappingLSN, .unknownSite, .invalid, .invalidText,
            .siteChanged, .siteRevoked, .laneNotAllowed:
            .invalidRequest
        }
    }
}

/// Stored or received bytes that do not decode.
public enum LedgerFormatError: Error, Equatable, Sendable {
    /// Written by a newer Cairn: update this one, or go back to that one.
    case newerVersion(what: String, found: Int, supported: Int)
    case badMagic(what: String)
    case checksum(what: String, stored: UInt32, computed: UInt32)
    case truncated(neededBytes: Int, presentBytes: Int)
    case trailingBytes(Int)
    case invalidTag(what: String, tag: Int)
    case invalidValue(what: String)
    /// The log has a hole, or a blob sits under another's number.
    case sequence(expected: UInt64, found: UInt64)
}
