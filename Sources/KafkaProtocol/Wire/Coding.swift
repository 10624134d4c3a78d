public import NIOCore

/// Reads one message that takes all of `buffer`. On success the buffer is empty, on an error it is as it was.
public func decodeMessage<Message: WireMessage>(
    _ type: Message.Type = Message.self, from buffer: inout ByteBuffer, version: Int16, flexible: Bool
) throws(WireError) -> Message {
    var reader = WireReader(buffer, version: version, isFlexible: flexible)
    var message = Message()
    try message.read(&reader)
    let rest = reader.remaining
    guard rest.readableBytes == 0 else { throw .trailingBytes(rest.readableBytes) }
    buffer = rest
    return message
}

/// Reads a request; throws `versionUnsupported` for a version that its description does not cover.
///
/// Bytes after the request are passed over, as Kafka does: librdkafka 2.16 sends three too many with a Metadata request for
/// all topics.
public func decodeRequest<Message: RequestMessage>(
    _ type: Message.Type = Message.self, from buffer: inout ByteBuffer, version: Int16
) throws(WireError) -> Message {
    guard Message.versions.contains(version) else {
        throw .versionUnsupported(api: Message.apiKey.rawValue, version: version)
    }
    var reader = WireReader(buffer, version: version, isFlexible: Message.isFlexible(version))
    var message = Message()
    try message.read(&reader)
    buffer.moveReaderIndex(to: buffer.writerIndex)
    return message
}

/// Appends `message` at the version of `writer`.
public func encodeMessage<Message: WireMessage>(_ message: Message, into writer: inout WireWriter) throws(WireError) {
    var copy = message
    try copy.write(&writer)
}
