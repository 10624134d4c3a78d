/// What a lane has asked its disk to write since the process started, in bytes, by reason. Divided by the payload it is
/// the write amplification before the file system's and the flash's own.
public struct WrittenBytes: Sendable, Equatable {
    /// Groups of data: headers, frames and the padding to whole blocks.
    public var groups: UInt64 = 0
    /// Segment headers and checkpoints.
    public var heads: UInt64 = 0
    /// Groups of plans, uploads and the like: a block each.
    public var control: UInt64 = 0
    /// Zeros written into new segment files; recycled ones cost none.
    public var zeroes: UInt64 = 0
    /// Written once more at the start, to make sure of what recovery saw.
    public var settled: UInt64 = 0
    /// By SQLite: its own log and what it copies into the file.
    public var index: UInt64 = 0

    public init() {}

    public var total: UInt64 { groups + heads + control + zeroes + settled + index }

    /// Bytes written for each byte of payload; 0 while there is no payload.
    public func amplification(payloadBytes: UInt64) -> Double {
        payloadBytes == 0 ? 0 : Double(total) / Double(payloadBytes)
    }
}
