/// Whether an image that is on trial may be kept. Facts in, reasons out: no I/O.
struct Confirmation: Codable, Equatable, Sendable {
    struct Facts: Equatable {
        var isAccepting: Bool
        /// Group commits of this process, one `fdatasync` each, over all lanes.
        var commits: UInt64
        /// Batches that wait for one.
        var pendingBytes: Int
        /// The start itself was counted on the disk, durably.
        var isStartCounted: Bool
        var isUplinkOn: Bool
        /// Objects that this process has brought to the store.
        var uploadedObjects: UInt64
        /// Batches are durable here and not in the store.
        var hasBacklog: Bool
        /// An announcement was answered, or the store was probed, since the start.
        var hasReachedCloud: Bool
    }

    var isConfirmable: Bool
    /// Why not yet.
    var reasons: [String]

    /// It accepts, its disk takes writes, and what it has can leave: where there is nothing to upload, an answer of cloud or store will do.
    init(_ facts: Facts) {
        reasons = []
        if !facts.isAccepting { reasons.append("its listeners do not accept yet") }
        if facts.commits == 0, facts.pendingBytes > 0 || !facts.isStartCounted {
            reasons.append("nothing was made durable yet")
        }
        if facts.isUplinkOn, facts.uploadedObjects == 0 {
            if facts.hasBacklog {
                reasons.append("nothing was uploaded yet, and data waits")
            } else if !facts.hasReachedCloud {
                reasons.append("neither cloud nor store has answered yet")
            }
        }
        isConfirmable = reasons.isEmpty
    }
}
