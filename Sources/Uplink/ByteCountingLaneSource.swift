public import WriteAheadLog

/// A lane that counts its bytes, so that an object can go out as soon as it is full rather than when its interval is over.
public protocol ByteCountingLaneSource: LaneSource {
    /// Bytes of batches made durable since the process started.
    var durableBytes: UInt64 { get }
}

extension LaneLog: ByteCountingLaneSource {
    public var durableBytes: UInt64 { status.durableBytes }
}
