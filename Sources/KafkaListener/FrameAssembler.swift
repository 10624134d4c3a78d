import DequeModule
import NIOCore

/// Why a byte stream is not Kafka's; the connection cannot go on.
enum FrameError: Error, Equatable {
    /// The length field was negative or below the smallest request header.
    case lengthInvalid(Int)
    case tooLarge(sizeBytes: Int, limitBytes: Int)
}

/// Cuts the stream of socket reads into frames: a big-endian Int32 length, then so many bytes.
///
/// A large frame that arrived inside one read is a slice of it. A small one is copied out, so that a request that waits long
/// (a Fetch) does not keep a whole read buffer alive. A frame that spans reads is copied once, into a buffer of its size,
/// which is only allocated after the caller granted the room.
struct FrameAssembler {
    enum Step: Equatable {
        case frame(ByteBuffer)
        /// The rest of the frame has not arrived. Call ``roomGranted()`` once its bytes may be allocated.
        case needsRoom(sizeBytes: Int)
        case needsMoreBytes
    }

    private enum State {
        case length(have: Int, value: UInt32)
        case waitingForRoom(sizeBytes: Int)
        case filling(ByteBuffer, missingBytes: Int)
        case failed(FrameError)
    }

    /// Key, version and correlation id: no request is shorter.
    static let sizeBytesMin = 8

    let limitBytes: Int
    /// From this size on a frame inside one read is sliced.
    let sliceBytesMin: Int
    private var state = State.length(have: 0, value: 0)
    private var reads = Deque<ByteBuffer>()
    private let allocator: ByteBufferAllocator

    init(limitBytes: Int, sliceBytesMin: Int, allocator: ByteBufferAllocator = ByteBufferAllocator()) {
        self.limitBytes = limitBytes
        self.sliceBytesMin = sliceBytesMin
        self.allocator = allocator
    }

    /// Whether a frame has begun and its end has not been returned.
    var isInsideFrame: Bool {
        if case .length(have: 0, _) = state { return !reads.isEmpty }
        return true
    }

    /// The bytes granted for a frame that is not complete yet.
    var grantedBytes: Int {
        guard case .filling(let buffer, let missingBytes) = state else { return 0 }
        return buffer.readableBytes + missingBytes
    }

    mutating func append(_ read: ByteBuffer) {
        if read.readableBytes > 0 { reads.append(read) }
    }

    mutating func next() throws(FrameError) -> Step {
        switch state {
        case .failed(let error): throw error
        case .waitingForRoom(let sizeBytes): return .needsRoom(sizeBytes: sizeBytes)
        case .filling: return fill()
        case .length: return try readLength()
        }
    }

    mutating func roomGranted() {
        guard case .waitingForRoom(let sizeBytes) = state else { return }
        state = .filling(allocator.buffer(capacity: sizeBytes), missingBytes: sizeBytes)
    }

    private mutating func readLength() throws(FrameError) -> Step {
        guard case .length(var have, var value) = state else { return .needsMoreBytes }
        while have < 4 {
            guard !reads.isEmpty else {
                state = .length(have: have, value: value)
                return .needsMoreBytes
            }
            if have == 0, let whole = reads[0].readInteger(as: UInt32.self) {
                (have, value) = (4, whole)
            } else if let byte = reads[0].readInteger(as: UInt8.self) {
                (have, value) = (have + 1, value << 8 | UInt32(byte))
            }
            if reads[0].readableBytes == 0 { reads.removeFirst() }
        }
        let sizeBytes = Int(Int32(bitPattern: value))
        if sizeBytes < Self.sizeBytesMin { throw fail(.lengthInvalid(sizeBytes)) }
        if sizeBytes > limitBytes { throw fail(.tooLarge(sizeBytes: sizeBytes, limitBytes: limitBytes)) }
        return cut(sizeBytes)
    }

    private mutating func cut(_ sizeBytes: Int) -> Step {
        guard let available = reads.first?.readableBytes, available >= sizeBytes else {
            state = .waitingForRoom(sizeBytes: sizeBytes)
            return .needsRoom(sizeBytes: sizeBytes)
        }
        state = .length(have: 0, value: 0)
        let slice = reads[0].readSlice(length: sizeBytes) ?? ByteBuffer()
        if reads[0].readableBytes == 0 { reads.removeFirst() }
        if sizeBytes >= sliceBytesMin { return .frame(slice) }
        var copy = allocator.buffer(capacity: sizeBytes)
        copy.writeImmutableBuffer(slice)
        return .frame(copy)
    }

    private mutating func fill() -> Step {
        guard case .filling(var buffer, var missingBytes) = state else { return .needsMoreBytes }
        state = .length(have: 0, value: 0)  // the buffer has one owner now: writing to it copies nothing
        while missingBytes > 0, !reads.isEmpty {
            let taken = min(missingBytes, reads[0].readableBytes)
            if var part = reads[0].readSlice(length: taken) { buffer.writeBuffer(&part) }
            missingBytes -= taken
            if reads[0].readableBytes == 0 { reads.removeFirst() }
        }
        if missingBytes == 0 { return .frame(buffer) }
        state = .filling(buffer, missingBytes: missingBytes)
        return .needsMoreBytes
    }

    private mutating func fail(_ error: FrameError) -> FrameError {
        state = .failed(error)
        reads.removeAll()
        return error
    }
}
