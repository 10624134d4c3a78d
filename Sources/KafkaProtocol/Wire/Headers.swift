public import NIOCore

/// What every request begins with: header version 1, or 2 where the API's version is flexible.
///
/// Source: Kafka protocol guide, Request Header; RequestHeader's client id is never compact.
public struct RequestHeader: Sendable, Equatable {
    public var apiKey: APIKey
    public var apiVersion: Int16
    public var correlationID: Int32
    public var clientID: String?

    public init(apiKey: APIKey, apiVersion: Int16, correlationID: Int32, clientID: String?) {
        self.apiKey = apiKey
        self.apiVersion = apiVersion
        self.correlationID = correlationID
        self.clientID = clientID
    }

    /// Lengths in the body are compact, and the header has tagged fields (none is defined).
    public var isFlexible: Bool { apiVersion >= apiKey.firstFlexible }
    /// The response header has tagged fields: where the API is flexible, but for ApiVersions, whose client does not know yet
    /// what the broker can do.
    public var isResponseHeaderFlexible: Bool { isFlexible && apiKey != .apiVersions }

    /// Reads the header and moves `buffer` to the body. A key that nobody knows reads as header version 1.
    public init(reading buffer: inout ByteBuffer) throws(WireError) {
        var reader = WireReader(buffer, version: 1, isFlexible: false)
        var fields = RequestHeaderFields()
        try fields.fields(&reader)
        self.init(
            apiKey: APIKey(rawValue: fields.apiKey), apiVersion: fields.apiVersion,
            correlationID: fields.correlationID, clientID: fields.clientID)
        if isFlexible {
            var flexible = WireReader(reader.remaining, version: 2, isFlexible: true)
            var none = NoFields()
            try flexible.structure(&none)
            reader = flexible
        }
        buffer = reader.remaining
    }

    func write(_ writer: inout WireWriter) throws(WireError) {
        var fields = RequestHeaderFields()
        fields.apiKey = apiKey.rawValue
        fields.apiVersion = apiVersion
        fields.correlationID = correlationID
        fields.clientID = clientID
        var plain = WireWriter(version: 1, isFlexible: false)
        try fields.fields(&plain)
        for chunk in plain.chunks { writer.append(plain: chunk) }
        if isFlexible { writer.append(plain: ByteBuffer(bytes: [0])) }
    }
}

private struct RequestHeaderFields: WireMessage {
    var apiKey: Int16 = 0
    var apiVersion: Int16 = 0
    var correlationID: Int32 = 0
    var clientID: String?

    mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&apiKey)
        try wire.integer(&apiVersion)
        try wire.integer(&correlationID)
        try wire.nullableString(&clientID)
    }
}

/// Only a tagged-field section.
private struct NoFields: WireMessage {
    mutating func fields(_ wire: inout some WireCoder) throws(WireError) {}
}

/// Whole frames, length included, in chunks for one writev.
public enum WireFrame {
    /// The response to `header` at its version. For ApiVersions of a version that is not supported, give a header with
    /// version 0 (KIP-511).
    public static func response<Message: WireMessage>(
        _ message: Message, for header: RequestHeader
    ) throws(WireError) -> [ByteBuffer] {
        var writer = WireWriter(version: header.apiVersion, isFlexible: header.isFlexible)
        var length: Int32 = 0
        var correlationID = header.correlationID
        try writer.integer(&length)
        try writer.integer(&correlationID)
        if header.isResponseHeaderFlexible { writer.append(plain: ByteBuffer(bytes: [0])) }
        try encodeMessage(message, into: &writer)
        try writer.closeFrame()
        return writer.chunks
    }

    /// A request as a client sends it.
    public static func request<Message: RequestMessage>(
        _ message: Message, version: Int16, correlationID: Int32, clientID: String?
    ) throws(WireError) -> [ByteBuffer] {
        guard Message.versions.contains(version) else {
            throw .versionUnsupported(api: Message.apiKey.rawValue, version: version)
        }
        let header = RequestHeader(
            apiKey: Message.apiKey, apiVersion: version, correlationID: correlationID, clientID: clientID)
        var writer = WireWriter(version: version, isFlexible: header.isFlexible)
        var length: Int32 = 0
        try writer.integer(&length)
        try header.write(&writer)
        try encodeMessage(message, into: &writer)
        try writer.closeFrame()
        return writer.chunks
    }

    /// The response to a request of this client, from the content of a frame.
    public static func decodeResponse<Message: RequestMessage>(
        to type: Message.Type, version: Int16, from frame: ByteBuffer
    ) throws(WireError) -> (correlationID: Int32, response: Message.Response) {
        let header = RequestHeader(apiKey: Message.apiKey, apiVersion: version, correlationID: 0, clientID: nil)
        var reader = WireReader(frame, version: version, isFlexible: header.isResponseHeaderFlexible)
        var correlationID: Int32 = 0
        try reader.integer(&correlationID)
        var none = NoFields()
        try reader.structure(&none)
        var body = reader.remaining
        let response = try decodeMessage(
            Message.Response.self, from: &body, version: version, flexible: header.isFlexible)
        return (correlationID, response)
    }
}
