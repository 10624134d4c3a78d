/// Which LSN ranges are planned and which are uploaded: facts in, verdicts out.
struct UploadLedger: Sendable, Equatable {
    struct Open: Sendable, Equatable {
        var plan: UploadPlan
        var isUploaded = false
    }
    enum Verdict: Equatable {
        case record
        /// Already recorded: nothing to write.
        case known
        case refused(String)
    }

    static let openPlansMax = 1024
    /// Open plans that know of a clock: a checkpoint has room for so many.
    static let clockPlansMax = 32
    /// A checkpoint tells of so many authors of open plans; nobody knows those of older plans then.
    static let authorsMax = 32

    private(set) var nextSequence: UInt64 = 1
    private(set) var uploadedThrough: UInt64 = 0
    private(set) var open: [Open] = []

    init() {}

    init(nextSequence: UInt64, uploadedThrough: UInt64, open: [Open]) {
        self.nextSequence = nextSequence
        self.uploadedThrough = uploadedThrough
        self.open = open
    }

    var state: UploadState {
        UploadState(
            nextSequence: nextSequence, uploadedThrough: uploadedThrough,
            openPlans: open.filter { !$0.isUploaded }.map(\.plan),
            uploadedAheadThrough: open.last.map { $0.isUploaded ? $0.plan.lastLSN : 0 } ?? 0)
    }

    /// Up to here every LSN is uploaded or in an open plan.
    var plannedThrough: UInt64 { open.last?.plan.lastLSN ?? uploadedThrough }

    /// The first LSN that no plan covers.
    private var nextLSN: UInt64 { plannedThrough + 1 }

    func check(_ plan: UploadPlan, durableLSN: UInt64) -> Verdict {
        if open.contains(where: { $0.plan == plan }) { return .known }
        guard plan.sequence == nextSequence else {
            return .refused("plan \(plan.sequence): the next sequence is \(nextSequence)")
        }
        guard plan.firstLSN == nextLSN, plan.lastLSN >= plan.firstLSN else {
            return .refused("plan \(plan.firstLSN)...\(plan.lastLSN): must be a range from LSN \(nextLSN)")
        }
        guard plan.lastLSN <= durableLSN else {
            return .refused("plan through LSN \(plan.lastLSN): durable is \(durableLSN)")
        }
        guard open.count < Self.openPlansMax else { return .refused("\(open.count) plans are open") }
        guard plan.clock == nil || open.count(where: { $0.plan.clock != nil }) < Self.clockPlansMax else {
            return .refused("\(Self.clockPlansMax) open plans know of a clock")
        }
        return .record
    }

    func check(uploaded sequence: UInt64, lastLSN: UInt64) -> Verdict {
        guard let found = open.first(where: { $0.plan.sequence == sequence }) else {
            return sequence < nextSequence && lastLSN <= uploadedThrough
                ? .known : .refused("upload \(sequence): no such plan is open")
        }
        guard found.plan.lastLSN == lastLSN else {
            return .refused("upload \(sequence) through \(lastLSN): the plan ends at \(found.plan.lastLSN)")
        }
        return found.isUploaded ? .known : .record
    }

    /// What a checkpoint tells of an open plan beside its range.
    mutating func set(_ clock: PlanClock, ofPlan sequence: UInt64) {
        guard let place = open.firstIndex(where: { $0.plan.sequence == sequence }) else { return }
        open[place].plan.clock = clock
    }

    /// Who made the open plans: the first plan of each author in a row, the newest rows only.
    var authors: ArraySlice<(firstSequence: UInt64, author: UInt64)> {
        var rows: [(firstSequence: UInt64, author: UInt64)] = []
        for plan in open.map(\.plan) where plan.author != rows.last?.author {
            rows.append((plan.sequence, plan.author))
        }
        return rows.suffix(Self.authorsMax)
    }

    /// Of the open plans from `sequence` on.
    mutating func set(author: UInt64, fromPlan sequence: UInt64) {
        for place in open.indices where open[place].plan.sequence >= sequence { open[place].plan.author = author }
    }

    /// Applies a plan frame, checked or read back from disk.
    mutating func apply(_ plan: UploadPlan) {
        guard plan.sequence >= nextSequence else { return }
        open.append(Open(plan: plan))
        nextSequence = plan.sequence + 1
    }

    mutating func apply(uploaded sequence: UInt64, lastLSN: UInt64) {
        if let place = open.firstIndex(where: { $0.plan.sequence == sequence }) {
            open[place].isUploaded = true
            while let first = open.first, first.isUploaded {
                uploadedThrough = max(uploadedThrough, first.plan.lastLSN)
                open.removeFirst()
            }
        } else if sequence >= nextSequence {
            // Its plan frame is lost. Uploads finish in order in practice, so all before it is uploaded too.
            open.removeAll()
            nextSequence = sequence + 1
            uploadedThrough = max(uploadedThrough, lastLSN)
        }
    }
}
