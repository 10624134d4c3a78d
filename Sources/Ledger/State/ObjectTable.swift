/// Objects, their keys as small numbers, and what is left of them after deletion.
struct ObjectTable: Sendable {
    /// Live and unreferenced objects by number. Numbers are never used twice.
    var all: [Int64: ObjectEntry] = [:]
    var numberByKey: [String: Int64] = [:]
    var nextNumber: Int64 = 1
    /// Objects that no extent names, and since when.
    var unreferencedSince: [Int64: Int64] = [:]
    /// Keys marked for deletion and, afterwards, forgotten ones: a commit under them is refused.
    var tombstones: [String: Tombstone] = [:]
    var answers = StoredAnswers()

    struct Tombstone: Sendable, Equatable {
        var sinceMs: Int64
        var sizeBytes: Int64
        var committedMs: Int64
        /// The store has deleted the bytes.
        var isForgotten: Bool
    }

    /// Tombstones of forgotten objects are kept this long ...
    static let tombstoneAgeMsMax: Int64 = 86_400_000
    /// ... and at most this many, whichever ends first.
    static let tombstonesMax = 100_000

    func isTombstoned(_ key: String) -> Bool { tombstones[key] != nil }

    mutating func insert(_ entry: ObjectEntry, answer: [RunOutcome], nowMs: Int64) -> Int64 {
        let number = nextNumber
        nextNumber &+= 1
        numberByKey[entry.key] = number
        all[number] = entry
        unreferencedSince[number] = nowMs
        answers.insert(answer, object: number, nowMs: nowMs)
        return number
    }

    mutating func addExtent(to number: Int64) {
        all[number]?.extentCount += 1
        unreferencedSince[number] = nil
    }

    mutating func dropExtent(of number: Int64, nowMs: Int64) {
        guard let count = all[number]?.extentCount else { return }
        all[number]?.extentCount = count - 1
        if count == 1 { unreferencedSince[number] = nowMs }
    }

    /// From now on no commit under `key` can succeed. Only for keys that no extent names.
    mutating func mark(_ key: String, nowMs: Int64) {
        guard tombstones[key] == nil else { return }
        var entry: ObjectEntry?
        if let number = numberByKey.removeValue(forKey: key) {
            entry = all.removeValue(forKey: number)
            unreferencedSince[number] = nil
            answers.remove(object: number)
        }
        tombstones[key] = Tombstone(
            sinceMs: nowMs, sizeBytes: entry?.sizeBytes ?? 0, committedMs: entry?.committedMs ?? nowMs,
            isForgotten: false)
    }

    mutating func forget(_ key: String, nowMs: Int64) {
        guard let tombstone = tombstones[key], !tombstone.isForgotten else { return }
        tombstones[key]?.isForgotten = true
        tombstones[key]?.sinceMs = nowMs
    }

    /// Drops forgotten tombstones that are too old, and the oldest where there are too many.
    mutating func boundTombstones(nowMs: Int64) {
        let forgotten = tombstones.filter(\.value.isForgotten)
        var kept = 0
        for (key, tombstone) in forgotten {
            if nowMs.subtractingClamped(tombstone.sinceMs) > ObjectTable.tombstoneAgeMsMax {
                tombstones[key] = nil
            } else {
                kept += 1
            }
        }
        guard kept > ObjectTable.tombstonesMax else { return }
        let oldest = tombstones.filter(\.value.isForgotten)
            .sorted { ($0.value.sinceMs, $0.key) < ($1.value.sinceMs, $1.key) }
        for (key, _) in oldest.prefix(kept - ObjectTable.tombstonesMax) { tombstones[key] = nil }
    }
}

struct ObjectEntry: Sendable, Equatable {
    var key: String
    var sizeBytes: Int64
    var committedMs: Int64
    var extentCount: Int
    /// Some runs of a site object found no partition.
    var isQuarantined: Bool
    /// Its batches carry their offsets.
    var holdsOffsets = false
}

// MARK: - Queries

extension ObjectTable {
    func facts(_ key: String) -> ObjectFacts? {
        if let tombstone = tombstones[key] {
            return ObjectFacts(
                key: key, sizeBytes: tombstone.sizeBytes, committedMs: tombstone.committedMs, extentCount: 0,
                isQuarantined: false,
                state: tombstone.isForgotten
                    ? .tombstone(sinceMs: tombstone.sinceMs) : .deleting(sinceMs: tombstone.sinceMs))
        }
        return numberByKey[key].flatMap { facts(number: $0) }
    }

    private func facts(number: Int64) -> ObjectFacts? {
        guard let entry = all[number] else { return nil }
        return ObjectFacts(
            key: entry.key, sizeBytes: entry.sizeBytes, committedMs: entry.committedMs,
            extentCount: entry.extentCount, isQuarantined: entry.isQuarantined,
            state: unreferencedSince[number].map { .unreferenced(sinceMs: $0) } ?? .live)
    }

    func unreferenced(since sinceMs: Int64, limit: Int) -> [ObjectFacts] {
        unreferencedSince.filter { number, since in since <= sinceMs && all[number]?.isQuarantined == false }
            .sorted { ($0.value, $0.key) < ($1.value, $1.key) }
            .prefix(limit)
            .compactMap { facts(number: $0.key) }
    }

    func deleting(limit: Int) -> [ObjectFacts] {
        tombstones.filter { !$0.value.isForgotten }
            .sorted { ($0.value.sinceMs, $0.key) < ($1.value.sinceMs, $1.key) }
            .prefix(limit)
            .compactMap { facts($0.key) }
    }

    func quarantined(limit: Int) -> [ObjectFacts] {
        all.filter(\.value.isQuarantined).keys.sorted().prefix(limit).compactMap { facts(number: $0) }
    }
}
