public import KafkaProtocol
public import NIOCore

/// One request of a client, its header parsed and its body not yet.
///
/// - Shape: `body` holds exactly the bytes after the request header. It may be a slice of a larger frame; do not write
///   into it.
/// - Units: `receivedNs` is the event loop's monotonic clock when the frame was complete, in nanoseconds.
public struct KafkaRequest: Sendable {
    public let header: RequestHeader
    public let body: ByteBuffer
    public let receivedNs: UInt64

    public init(header: RequestHeader, body: ByteBuffer, receivedNs: UInt64) {
        self.header = header
        self.body = body
        self.receivedNs = receivedNs
    }

    /// Parses the body at the header's version. The caller has checked that the key is the message's own; the version
    /// was checked by the listener against ``KafkaService/apis``.
    public func decode<Message: RequestMessage>(_ type: Message.Type) throws(WireError) -> Message {
        var bytes = body
        return try decodeRequest(type, from: &bytes, version: header.apiVersion)
    }
}
