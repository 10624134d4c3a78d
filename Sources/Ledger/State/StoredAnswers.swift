/// The answers of the latest commits, for retries whose first answer was lost. Bounded by count of runs and by age;
/// a retry that comes later than that learns that its key was committed, but not the offsets.
struct StoredAnswers: Sendable {
    struct Answer: Sendable, Equatable {
        var outcomes: [RunOutcome]
        var atMs: Int64
    }

    /// About 24 bytes each.
    static let runsMax = 500_000
    static let ageMsMax: Int64 = 3_600_000
    /// Numbers without an answer to pass one by one before searching for the next that has one.
    private static let missesMax = 10_000

    private(set) var byObject: [Int64: Answer] = [:]
    private(set) var runCount = 0
    /// No smaller object number has an answer. Numbers grow, so the smallest one is the oldest.
    private var oldest: Int64 = 0

    func answer(object number: Int64) -> [RunOutcome]? { byObject[number]?.outcomes }

    mutating func insert(_ outcomes: [RunOutcome], object number: Int64, nowMs: Int64) {
        restore(Answer(outcomes: outcomes, atMs: nowMs), object: number)
        bound(nowMs: nowMs)
    }

    /// Puts back what a snapshot holds; numbers must grow.
    mutating func restore(_ answer: Answer, object number: Int64) {
        if byObject.isEmpty { oldest = number }
        byObject[number] = answer
        runCount += answer.outcomes.count
    }

    mutating func remove(object number: Int64) {
        guard let answer = byObject.removeValue(forKey: number) else { return }
        runCount -= answer.outcomes.count
    }

    /// Drops the oldest answers that are too old or too many; the latest one stays whatever its size.
    mutating func bound(nowMs: Int64) {
        var misses = 0
        while !byObject.isEmpty {
            if byObject[oldest] == nil, misses == StoredAnswers.missesMax { oldest = byObject.keys.min() ?? oldest }
            if let answer = byObject[oldest] {
                let isOld = nowMs.subtractingClamped(answer.atMs) > StoredAnswers.ageMsMax
                guard isOld || (runCount > StoredAnswers.runsMax && byObject.count > 1) else { return }
                remove(object: oldest)
            } else {
                misses += 1
            }
            oldest += 1
        }
    }
}

extension Int64 {
    /// Difference of two times that may be anything.
    func subtractingClamped(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        guard overflow else { return difference }
        return self < other ? .min : .max
    }
}
