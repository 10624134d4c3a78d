/// Why bytes are not the message they should be, or why a message cannot be written at a version.
///
/// A broker answers a request that does not parse by closing the connection.
public enum WireError: Error, Equatable, Sendable {
    case truncated(neededBytes: Int, availableBytes: Int)
    /// A variable-length integer of more than 32 bits.
    case varintTooLong
    case lengthNegative(Int)
    /// An array names more elements than bytes are left. Found before any memory is taken for them.
    case countTooLarge(count: Int, availableBytes: Int)
    /// All arrays of one message together have more elements than is sane.
    case elementsOverLimit(limit: Int)
    /// Null where the version does not allow it, in bytes read or in a message to write.
    case nullNotAllowed
    case notUTF8
    /// Tags must ascend within a structure.
    case tagsNotAscending(tag: UInt32)
    /// Bytes are left where the message, or one of its tagged fields, should have ended.
    case trailingBytes(Int)
    /// A string or byte field does not fit its length field.
    case tooLong(lengthBytes: Int, limitBytes: Int)
    case frameTooLarge(sizeBytes: Int, limitBytes: Int)
    case versionUnsupported(api: Int16, version: Int16)
}
