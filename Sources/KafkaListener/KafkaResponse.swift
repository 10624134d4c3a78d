public import KafkaProtocol
public import NIOCore

/// One response as it goes to the socket: a whole frame with its length, in as few chunks as its large byte fields allow.
public struct KafkaResponse: Sendable {
    /// Written in order with one writev; large record sets are chunks of their own and were never copied.
    public let chunks: [ByteBuffer]
    public let sizeBytes: Int
    /// Called exactly once, from any thread, when the response was written or will never be: the place to give back what
    /// it holds.
    public let whenDone: (@Sendable () -> Void)?

    /// - Parameter chunks: the frame with its length field.
    public init(chunks: [ByteBuffer], whenDone: (@Sendable () -> Void)? = nil) {
        self.chunks = chunks
        self.sizeBytes = chunks.reduce(0) { $0 + $1.readableBytes }
        self.whenDone = whenDone
    }

    /// Encodes `message` at the version of `header`. Throws where a value cannot be written, for example a string of more
    /// than 32767 bytes: our own mistake, never the client's.
    public init(
        _ message: some WireMessage, for header: RequestHeader, whenDone: (@Sendable () -> Void)? = nil
    ) throws(WireError) {
        self.init(chunks: try WireFrame.response(message, for: header), whenDone: whenDone)
    }
}
