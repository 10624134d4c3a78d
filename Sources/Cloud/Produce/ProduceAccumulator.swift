import DequeModule
import NIOCore

/// Decides which submissions form an object, which wait for room, and which are refused. Facts in, one action out.
struct ProduceAccumulator<Item> {
    enum Action: Equatable {
        /// Nothing to do now.
        case none
        /// Call `intervalOver` at this time.
        case wake(at: NIODeadline)
        /// Call `seal` and upload what it gives.
        case seal
        /// There is no room, not even to wait.
        case refuse
    }

    private struct Waiting {
        var item: Item
        var bytes: Int
        /// Batches: the ledger bounds the runs of one object.
        var count: Int
        var deadline: NIODeadline
    }

    /// Batches in one object, unless one request alone has more.
    static var batchesMax: Int { 20_000 }

    let configuration: ProduceConfiguration
    private var open: Deque<Waiting> = []
    private var openBytes = 0
    private var openBatches = 0
    private var openDue: NIODeadline?
    private var parked: Deque<Waiting> = []
    private var parkedBytes = 0
    private var uploadingBytes = 0
    private var uploads = 0

    init(configuration: ProduceConfiguration) {
        self.configuration = configuration
    }

    var pendingBytes: Int { openBytes + uploadingBytes }
    var waitingBytes: Int { parkedBytes }
    var uploadCount: Int { uploads }
    var openCount: Int { open.count }
    var isIdle: Bool { open.isEmpty && parked.isEmpty && uploads == 0 }

    /// A submission came. `isAdmitted` says whether it has room; otherwise it waits in line, or is refused.
    mutating func add(
        _ item: Item, bytes: Int, count: Int, deadline: NIODeadline, now: NIODeadline
    ) -> (Action, isAdmitted: Bool) {
        let waiting = Waiting(item: item, bytes: bytes, count: count, deadline: deadline)
        if parked.isEmpty, hasRoom(bytes) { return (admit(waiting, now), true) }
        guard parkedBytes + bytes <= configuration.parkedBytesMax else { return (.refuse, false) }
        parked.append(waiting)
        parkedBytes += bytes
        return (.none, false)
    }

    /// The time of a `wake` has come.
    mutating func intervalOver(now: NIODeadline) -> Action {
        isDue(now) ? .seal : .none
    }

    /// Takes what the next object is made of, in order. What is too much for one stays open: `isDue` says whether it
    /// must go out as well.
    mutating func seal() -> (items: [Item], bytes: Int) {
        var sealed: [Item] = []
        var bytes = 0
        var batches = 0
        while let first = open.first, !isEnough(bytes, batches) {
            open.removeFirst()
            sealed.append(first.item)
            bytes += first.bytes
            batches += first.count
        }
        openBytes -= bytes
        openBatches -= batches
        if open.isEmpty { openDue = nil }
        uploadingBytes += bytes
        uploads += 1
        return (sealed, bytes)
    }

    /// Whether an object must be sealed now.
    func isDue(_ now: NIODeadline) -> Bool {
        guard !open.isEmpty, uploads < configuration.uploadsMax else { return false }
        return isEnough(openBytes, openBatches) || openDue ?? now <= now
    }

    private func isEnough(_ bytes: Int, _ batches: Int) -> Bool {
        bytes >= configuration.objectBytes || batches >= Self.batchesMax
    }

    /// An upload ended, one way or the other. `admitted` has room now.
    mutating func uploadEnded(bytes: Int, now: NIODeadline) -> (action: Action, admitted: [Item]) {
        uploadingBytes -= bytes
        uploads -= 1
        precondition(uploadingBytes >= 0 && uploads >= 0, "\(uploads) uploads of \(uploadingBytes) bytes")
        var admitted: [Item] = []
        var action = Action.none
        while let first = parked.first, hasRoom(first.bytes), action != .seal {
            parked.removeFirst()
            parkedBytes -= first.bytes
            admitted.append(first.item)
            let next = admit(first, now)
            if next != .none { action = next }
        }
        if action != .seal, isDue(now) { action = .seal }
        return (action, admitted)
    }

    /// Those that waited until their deadline.
    mutating func expire(now: NIODeadline) -> [Item] {
        var expired: [Item] = []
        parked.removeAll { waiting in
            guard waiting.deadline <= now else { return false }
            expired.append(waiting.item)
            parkedBytes -= waiting.bytes
            return true
        }
        return expired
    }

    var nextExpiry: NIODeadline? { parked.map(\.deadline).min() }

    /// At shutdown: whatever is open goes out now.
    var mustDrain: Bool { !open.isEmpty }

    private func hasRoom(_ bytes: Int) -> Bool {
        pendingBytes == 0 || pendingBytes + bytes <= configuration.pendingBytesMax
    }

    private mutating func admit(_ waiting: Waiting, _ now: NIODeadline) -> Action {
        open.append(waiting)
        openBytes += waiting.bytes
        openBatches += waiting.count
        if isEnough(openBytes, openBatches), uploads < configuration.uploadsMax { return .seal }
        guard openDue == nil else { return .none }
        let due = now + configuration.interval
        openDue = due
        return .wake(at: due)
    }
}
