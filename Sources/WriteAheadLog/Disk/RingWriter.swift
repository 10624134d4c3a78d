import CUring

/// One io_uring that carries a write and the fdatasync linked to it; one pair at a time.
/// Unchecked because the ring belongs to whoever holds this value, and it cannot be copied.
struct RingWriter: ~Copyable, @unchecked Sendable {
    enum Step: Equatable {
        case done
        /// Some bytes went; the kernel then cancelled the fdatasync. Write the rest and sync.
        case short(written: Int)
        case writeFailed(Int32)
        case syncFailed(Int32)
        /// Nothing is known about the group; write it again another way.
        case ringFailed(Int32)
    }
    struct Refusal: Error {
        var errno: Int32
    }

    fileprivate let ring: OpaquePointer

    static func open() -> sending Opening {
        var code: Int32 = 0
        guard let ring = cairn_ring_open(&code) else { return .failure(Refusal(errno: code)) }
        return .success(RingWriter(ring: ring))
    }

    enum Opening: ~Copyable {
        case success(RingWriter)
        case failure(Refusal)
    }

    deinit { cairn_ring_close(ring) }

    /// Hands both to the kernel. Nil when they are under way: `finish` must follow, and `bytes` stay until then.
    func begin(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int) -> Step? {
        let refused = cairn_ring_submit(ring, descriptor, bytes.baseAddress!, bytes.count, UInt64(offsetBytes))
        return refused == 0 ? nil : .ringFailed(refused)
    }

    /// What was begun is not done yet.
    var isBusy: Bool { cairn_ring_ready(ring) < 2 }

    /// Waits for what was begun, a write of `count` bytes.
    func finish(count: Int) -> Step {
        var written = 0
        var synced: Int32 = 0
        let lost = cairn_ring_wait(ring, &written, &synced)
        if lost != 0 { return .ringFailed(lost) }
        if written < 0 { return .writeFailed(Int32(-written)) }
        if written < count { return .short(written: written) }
        return synced < 0 ? .syncFailed(-synced) : .done
    }
}
