/// The values used lately, at most `countMax` and at least half as many: two generations, of which the older one goes as a whole.
/// Cheaper than an exact order of use, and as good where a miss costs one request.
struct RecentValues<Key: Hashable, Value> {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private let youngMax: Int

    init(countMax: Int) { youngMax = max(1, countMax / 2) }

    var count: Int { young.count + old.count }

    /// Looks without making it newer.
    func peek(_ key: Key) -> Value? { young[key] ?? old[key] }

    mutating func value(for key: Key) -> Value? {
        if let value = young[key] { return value }
        guard let value = old[key] else { return nil }
        insert(value, for: key)
        return value
    }

    mutating func insert(_ value: Value, for key: Key) {
        old.removeValue(forKey: key)
        young[key] = value
        guard young.count >= youngMax else { return }
        old = young
        young = [:]
    }

    mutating func remove(_ key: Key) {
        young.removeValue(forKey: key)
        old.removeValue(forKey: key)
    }
}
