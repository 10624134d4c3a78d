import AsyncHTTPClient
import NIOCore
import Synchronization

/// A request's body in slices of its pieces: only small pieces are copied, together, and the connection takes the next slice only when it
/// has room, so that TLS never holds a second, encrypted copy of a large object. Each leaves when the pace, if there is one, allows it;
/// they are small, so that it is noticed soon when they are stuck.
struct PacedSlices: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    static let sliceBytes = 64 << 10
    /// Without a pace: a step of the client for each costs more than is gained.
    static let unpacedSliceBytes = 256 << 10

    let body: ObjectBody
    let pace: (any UploadPace)?
    let watch: UploadWatch

    struct AsyncIterator: AsyncIteratorProtocol {
        let body: ObjectBody
        var position = 0
        let pace: (any UploadPace)?
        let watch: UploadWatch

        mutating func next() async throws -> ByteBuffer? {
            let leftBytes = body.sizeBytes - position
            guard leftBytes > 0 else {
                watch.note { $0.bodyDone(at: $1) }
                pace?.bodyDone()
                return nil
            }
            watch.note { $0.asked(at: $1) }
            var bytes =
                pace != nil
                ? Swift.min(leftBytes, PacedSlices.sliceBytes)
                : body.run(
                    from: position, bytesMax: PacedSlices.unpacedSliceBytes, largeBytes: PacedSlices.sliceBytes)
            if let pace { bytes = try await pace.admit(bytes) }
            watch.note { $0.offered(at: $1) }
            defer { position += bytes }
            return body.bytes(position..<position + bytes)
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: body, pace: pace, watch: watch) }
}

/// Reads a reply's body whole, within bounds of size, of time, and of silence.
///
/// The HTTP client's deadline ends with the reply's head, and its read timeout would also run while a request's last bytes are still
/// on their way out over a slow link; so the body has a watch of its own.
struct S3BodyReader {
    /// Bytes; more is an error.
    let limit: Int
    /// `Content-Length`, where there is one.
    let announced: Int?
    let timeout: TimeAmount
    let progressTimeout: TimeAmount

    /// Errors: `HTTPClientError.readTimeout`, `.deadlineExceeded`, `NIOTooManyBytesError`, and the connection's own.
    func read(_ body: HTTPClientResponse.Body, watchedBy loop: any EventLoop) async throws -> ByteBuffer {
        let watch = BodyWatch()
        let reading = Task { try await read(body, watch) }
        let end = NIODeadline.now() + timeout
        let timer = loop.scheduleRepeatedTask(initialDelay: progressTimeout, delay: progressTimeout) { _ in
            if watch.isSilent || NIODeadline.now() > end { reading.cancel() }
        }
        defer { timer.cancel() }
        // Awaited, and cancelled with the caller: as bound to it as a child task.
        return try await withTaskCancellationHandler {
            do {
                return try await reading.value
            } catch {
                throw reading.isCancelled && !Task.isCancelled ? HTTPClientError.readTimeout : error
            }
        } onCancel: {
            reading.cancel()
        }
    }

    private func read(_ body: HTTPClientResponse.Body, _ watch: BodyWatch) async throws -> ByteBuffer {
        var whole = ByteBuffer()
        for try await var chunk in body {
            let sizeBytes = whole.readableBytes + chunk.readableBytes
            guard sizeBytes <= limit else { throw NIOTooManyBytesError(maxBytes: limit) }
            watch.came(chunk.readableBytes)
            if whole.readableBytes == 0, chunk.readableBytes == announced {
                whole = chunk
            } else {
                if whole.capacity == 0, let announced { whole.reserveCapacity(announced) }
                whole.writeBuffer(&chunk)
            }
        }
        try Task.checkCancellation()
        return whole
    }
}

/// Whether bytes came since the last look.
private final class BodyWatch: Sendable {
    private let arrived = Atomic<Int>(0)

    func came(_ bytes: Int) { arrived.add(bytes, ordering: .relaxed) }
    var isSilent: Bool { arrived.exchange(0, ordering: .relaxed) == 0 }
}
