import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore

@testable import KafkaListener

/// Frames written by hand, so that the tests do not believe the codec they run beside.
enum Wire {
    /// A request frame with header version 1: no tagged fields.
    static func request(
        key: Int16, version: Int16, correlation: Int32, client: String? = "test", body: [UInt8] = []
    ) -> ByteBuffer {
        var content = ByteBuffer()
        content.writeInteger(key)
        content.writeInteger(version)
        content.writeInteger(correlation)
        content.writeInteger(Int16(client?.utf8.count ?? -1))
        content.writeString(client ?? "")
        content.writeBytes(body)
        return frame(content)
    }

    static func frame(_ content: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeInteger(Int32(content.readableBytes))
        frame.writeImmutableBuffer(content)
        return frame
    }

    /// A response frame: length, correlation id, body.
    static func response(to correlation: Int32, body: [UInt8] = []) -> KafkaResponse {
        var content = ByteBuffer()
        content.writeInteger(correlation)
        content.writeBytes(body)
        return KafkaResponse(chunks: [frame(content)])
    }

    /// Cuts a byte stream into the contents of its frames.
    static func contents(of stream: ByteBuffer) -> [ByteBuffer] {
        var rest = stream
        var contents: [ByteBuffer] = []
        while let length = rest.readInteger(as: Int32.self), let content = rest.readSlice(length: Int(length)) {
            contents.append(content)
        }
        return contents
    }

    static func correlations(of stream: ByteBuffer) -> [Int32] {
        contents(of: stream).compactMap { $0.getInteger(at: $0.readerIndex) }
    }
}

/// A service whose answers the test gives when it likes.
final class ScriptedService: KafkaService {
    struct Call {
        let request: KafkaRequest
        let connection: KafkaConnection
        let promise: EventLoopPromise<KafkaResponse?>
        var correlation: Int32 { request.header.correlationID }
    }

    let apis: [SupportedAPI] = [
        SupportedAPI(.produce, 3...8), SupportedAPI(.metadata, 0...8), SupportedAPI(.fetch, 4...11),
    ]
    let calls = NIOLockedValueBox<[Call]>([])
    /// Answers at once instead.
    let answersAtOnce: Bool

    init(answersAtOnce: Bool = false) {
        self.answersAtOnce = answersAtOnce
    }

    var correlations: [Int32] { calls.withLockedValue { $0.map(\.correlation) } }

    func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        let promise = connection.eventLoop.makePromise(of: KafkaResponse?.self)
        calls.withLockedValue { $0.append(Call(request: request, connection: connection, promise: promise)) }
        if answersAtOnce { promise.succeed(Wire.response(to: request.header.correlationID)) }
        return promise.futureResult
    }

    /// Answers the first open call with this correlation id.
    func answer(_ correlation: Int32, with response: KafkaResponse?? = nil) {
        let call = calls.withLockedValue { calls in calls.first { $0.correlation == correlation } }
        call?.promise.succeed(response ?? Wire.response(to: correlation))
    }

    func fail(_ correlation: Int32) {
        let call = calls.withLockedValue { calls in calls.first { $0.correlation == correlation } }
        call?.promise.fail(ScriptedError())
    }
}

struct ScriptedError: Error {}
