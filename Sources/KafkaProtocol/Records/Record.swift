public import NIOCore

/// One record of a batch, opened.
///
/// - Units: `timestampMs` is milliseconds since 1970-01-01 UTC; `offsetDelta` counts from the batch's base offset.
/// - Key, value and header values are slices of the batch (or of its decompressed payload): do not write into them.
public struct Record: Sendable, Equatable {
    /// Seven one-byte fields: length, attributes, two deltas, two null lengths and a header count.
    static let sizeBytesMin = 7

    public var timestampMs: Int64
    public var offsetDelta: Int32
    public var key: ByteBuffer?
    public var value: ByteBuffer?
    public var headers: [RecordHeader]

    public init(
        timestampMs: Int64, offsetDelta: Int32 = 0, key: ByteBuffer? = nil, value: ByteBuffer?,
        headers: [RecordHeader] = []
    ) {
        self.timestampMs = timestampMs
        self.offsetDelta = offsetDelta
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// A named value beside the record's own. Names may repeat.
public struct RecordHeader: Sendable, Equatable {
    public var key: String
    public var value: ByteBuffer?

    public init(key: String, value: ByteBuffer?) {
        self.key = key
        self.value = value
    }
}
