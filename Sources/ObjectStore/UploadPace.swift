public import NIOCore

/// Says when the bytes of one upload may leave. A store that sends a body in pieces asks before each; any other asks for all of them
/// before it begins.
public protocol UploadPace: Sendable {
    /// Waits, then says how many of the next `bytesMax` bytes (at least 1) may leave: 1 to `bytesMax`. One call at a time.
    func admit(_ bytesMax: Int) async throws(UploadStopped) -> Int
    /// Every byte is with the connection.
    func bodyDone()
    /// Bytes a second that the link is believed to carry; nil: not known.
    var linkBytesPerSecond: Double? { get }
}

/// The upload is to end at once; the same bytes will be sent again later.
public struct UploadStopped: Error, Equatable {
    public init() {}
}

extension ObjectStore {
    /// As ``put(_:_:ifAbsent:)``, its bytes leaving as `pace` allows. Ends with `.cancelled` when `pace` stops it; the effect is unknown then.
    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult {
        var left = body.readableBytes
        do {
            while left > 0 { left -= try await pace.admit(left) }
        } catch {
            throw ObjectStoreError(.put, key: key, .cancelled, detail: "stopped")
        }
        pace.bodyDone()
        return try await put(key, body, ifAbsent: ifAbsent)
    }
}
