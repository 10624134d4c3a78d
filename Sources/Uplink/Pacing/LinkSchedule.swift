/// Whose bytes leave next. Facts in, answers out: no I/O, no clock, no `await`.
///
/// - Order: the lower rank first. A session waits while one of a better rank is waiting or sending.
/// - Share: of every bytes that go out ahead of it, a waiting session earns `share / (1 - share)` as credit; with credit for a piece it goes
///   before everybody, so that live data never stops a backlog altogether.
/// - A session waits at most `holdMax` for others: stores close uploads in which nothing comes.
/// - Last: what is not data goes only while no upload sends or waits, earns no credit and is held as long as it takes.
/// - Caps: the bucket of the link and, where there is one, that of the lane.
struct LinkSchedule: Sendable {
    typealias ID = UInt64

    enum Admission: Sendable, Equatable {
        /// So many bytes may leave now; they are counted.
        case granted(Int)
        /// Ask again then.
        case wait(until: Duration)
        /// The session has been ended.
        case ended
    }

    private struct Session: Sendable {
        var lane: String
        var rank: Int
        var isSending = false
        var waitingBytes = 0
        var lastGrantAt: Duration
        var credit = 0.0
        var isLast = false

        var isWaiting: Bool { waitingBytes > 0 }
        var isCredited: Bool { isWaiting && credit >= Double(waitingBytes) }
    }

    let share: Double
    let burstBytes: Int
    private(set) var link: TokenBucket
    private var lanes: [String: TokenBucket] = [:]
    private var sessions: [ID: Session] = [:]
    private var nextID: ID = 0

    init(bytesPerSecond: Int?, burstBytes: Int, share: Double, now: Duration) {
        precondition((0...0.5).contains(share), "share \(share)")
        self.share = share
        self.burstBytes = burstBytes
        link = TokenBucket(bytesPerSecond: bytesPerSecond, burstBytes: burstBytes, now: now)
    }

    var sessionCount: Int { sessions.count }

    mutating func setLinkRate(_ bytesPerSecond: Int?, now: Duration) {
        if link.bytesPerSecond != bytesPerSecond { link.setRate(bytesPerSecond, now: now) }
    }

    mutating func setLaneRate(_ lane: String, _ bytesPerSecond: Int?, now: Duration) {
        guard lanes[lane]?.bytesPerSecond != bytesPerSecond else { return }
        guard let bytesPerSecond else {
            lanes[lane] = nil
            return
        }
        if lanes[lane]?.setRate(bytesPerSecond, now: now) == nil {
            lanes[lane] = TokenBucket(bytesPerSecond: bytesPerSecond, burstBytes: burstBytes, now: now)
        }
    }

    func laneRate(_ lane: String) -> Int? { lanes[lane]?.bytesPerSecond }

    /// One upload; its pieces are asked for one after the other.
    mutating func begin(lane: String, rank: Int, now: Duration) -> ID {
        nextID += 1
        sessions[nextID] = Session(lane: lane, rank: rank, lastGrantAt: now)
        return nextID
    }

    /// Something that is not data.
    mutating func beginLast(now: Duration) -> ID {
        let id = begin(lane: "", rank: .max, now: now)
        sessions[id]?.isLast = true
        return id
    }

    mutating func end(_ id: ID) { sessions[id] = nil }
    mutating func endAll() { sessions.removeAll() }

    /// All its bytes are with the connection: what is awaited now is the reply.
    mutating func bodyDone(_ id: ID) {
        sessions[id]?.isSending = false
        sessions[id]?.waitingBytes = 0
    }

    mutating func admit(_ id: ID, bytesMax: Int, now: Duration) -> Admission {
        guard var session = sessions[id] else { return .ended }
        let bytes = min(bytesMax, pieceBytes(session.lane))
        session.isSending = false
        session.waitingBytes = bytes
        sessions[id] = session
        let isHeldLong = !session.isLast && now - session.lastGrantAt >= Self.holdMax
        let isBlocked = isBlocked(id, session, now: now)
        if isBlocked, !isHeldLong { return .wait(until: now + Self.blockedPause) }
        let pause = max(link.wait(for: bytes, now: now), lanes[session.lane]?.wait(for: bytes, now: now) ?? .zero)
        guard pause == .zero else { return .wait(until: now + pause) }
        grant(id, session, bytes, now: now)
        return .granted(bytes)
    }

    /// Pieces take about a quarter of a second on a capped link, so that nobody waits long behind one.
    private func pieceBytes(_ lane: String) -> Int {
        let rates = [link.bytesPerSecond, lanes[lane]?.bytesPerSecond].compactMap { $0 }
        guard let rate = rates.min() else { return Self.pieceBytesMax }
        return min(max(rate / 4, 1 << 10), min(Self.pieceBytesMax, burstBytes))
    }

    private func isBlocked(_ id: ID, _ session: Session, now: Duration) -> Bool {
        let isCredited = session.isCredited
        return sessions.contains { otherID, other in
            guard otherID != id else { return false }
            if other.isCredited { return !isCredited || (other.rank, otherID) < (session.rank, id) }
            guard !isCredited, other.rank < session.rank else { return false }
            // A connection that takes nothing for so long does not use the link.
            return other.isWaiting && canGo(other, now: now)
                || other.isSending && now - other.lastGrantAt < Self.sendingMax
        }
    }

    /// Held only by the link, not by a cap of its own lane: a slow lane must not hold up the others.
    private func canGo(_ session: Session, now: Duration) -> Bool {
        guard var bucket = lanes[session.lane] else { return true }
        return bucket.wait(for: session.waitingBytes, now: now) == .zero
    }

    private mutating func grant(_ id: ID, _ session: Session, _ bytes: Int, now: Duration) {
        link.take(bytes, now: now)
        lanes[session.lane]?.take(bytes, now: now)
        let wasCredited = session.isCredited
        var session = session
        session.waitingBytes = 0
        session.isSending = true
        session.lastGrantAt = now
        if wasCredited { session.credit -= Double(bytes) }
        sessions[id] = session
        guard share > 0, !wasCredited else { return }
        let behind = sessions.filter { $0.value.isWaiting && $0.value.rank > session.rank && !$0.value.isLast }.keys
        for other in behind {
            let earned = Double(bytes) * share / (1 - share) / Double(behind.count)
            let credit = (sessions[other]?.credit ?? 0) + earned
            sessions[other]?.credit = min(credit, Self.creditMax)
        }
    }

    static let pieceBytesMax = 64 << 10
    private static let holdMax = Duration.seconds(5)
    private static let sendingMax = Duration.seconds(2)
    private static let blockedPause = Duration.milliseconds(20)
    private static let creditMax = Double(4 * pieceBytesMax)
}
