import Glibc

/// What a lane's index knows of the log, seen without writing a byte or making a file beside it. The lane may be in use.
struct IndexGlance: Sendable, Equatable {
    struct Segment: Sendable, Equatable {
        var sequence: UInt64
        var salt: UInt64
    }

    /// What is indexed had been durable before.
    var indexedThrough: UInt64 = 0
    /// The segment that was indexed last.
    var newest: Segment?
    /// Why the index knows less than it could, or nothing; nil when it has told all.
    var trouble: String?

    /// Look before segments are listed: a lane in use may be indexed further than a list that is older.
    static func look(_ directory: String) -> IndexGlance {
        let path = directory + "/" + IndexSchema.fileName
        guard access(path, F_OK) == 0 else { return IndexGlance(trouble: "there is no index") }
        do throws(SQLiteConnection.Failure) {
            let (connection, isWhole) = try SQLiteConnection.looking(into: path)
            if let strangeness = try IndexSchema.strangeness(connection) {
                return IndexGlance(trouble: "the index is of no use: \(strangeness)")
            }
            let store = IndexStore(connection)
            return IndexGlance(
                indexedThrough: try store.indexedThrough(), newest: try store.newestSegment(),
                trouble: isWhole ? nil : "the newest part of the index cannot be read (\(IndexSchema.fileName)-wal)")
        } catch {
            return IndexGlance(trouble: "the index cannot be read: \(error.message)")
        }
    }

    /// The highest LSN that had certainly been durable in these segments; 0 when the index does not say.
    func knownDurable(_ segments: [Segment]) -> UInt64 {
        guard let newest, segments.contains(newest) else { return 0 }
        return indexedThrough
    }

    /// Whether it is the index of these segments: the one indexed last is there, or has been freed or lost.
    func belongs(to segments: [Segment]) -> Bool {
        segments.allSatisfy { $0.sequence != newest?.sequence || $0 == newest }
    }
}
