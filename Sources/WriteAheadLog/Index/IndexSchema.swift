import Glibc

/// The index file of a lane: tables, version, and what to do with a file that is not ours. README, section 5.
enum IndexSchema {
    static let fileName = "index.sqlite"
    /// "CRNI" in the database header; says whose file it is.
    static let applicationID: Int64 = 0x4352_4E49
    static let version: Int64 = 1

    static let tables = """
        CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE segments(
            sequence INTEGER PRIMARY KEY, salt INTEGER NOT NULL, first_lsn INTEGER NOT NULL,
            size_bytes INTEGER NOT NULL);
        CREATE TABLE partitions(
            id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, UNIQUE(topic, partition));
        CREATE TABLE batches(
            lsn INTEGER PRIMARY KEY, segment INTEGER NOT NULL, position INTEGER NOT NULL, length INTEGER NOT NULL,
            partition_id INTEGER NOT NULL, base_offset INTEGER NOT NULL, record_count INTEGER NOT NULL,
            max_timestamp_ms INTEGER NOT NULL);
        CREATE INDEX batches_by_offset ON batches(partition_id, base_offset, max_timestamp_ms);
        CREATE TABLE uploads(
            sequence INTEGER PRIMARY KEY, first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL,
            uploaded INTEGER NOT NULL);
        CREATE TABLE producers(
            partition_id INTEGER NOT NULL, producer_id INTEGER NOT NULL, last_lsn INTEGER NOT NULL,
            sequences BLOB NOT NULL, PRIMARY KEY(partition_id, producer_id)) WITHOUT ROWID;
        """

    struct Opened {
        var connection: SQLiteConnection
        /// Why a new file was begun; nil when the old one is good.
        var rebuildReason: String?
    }

    /// Opens the file, or puts it aside (one older copy is kept) and begins a new one.
    static func open(directory: String) throws(SQLiteConnection.Failure) -> Opened {
        let path = directory + "/" + fileName
        let isNew = access(path, F_OK) != 0
        var reason = isNew ? "the file is missing" : nil
        if !isNew {
            do throws(SQLiteConnection.Failure) {
                // The start must not wait for whoever else looks into the file.
                let connection = try SQLiteConnection(path: path, patienceMs: 100)
                try configure(connection)
                reason = try strangeness(connection)
                if reason == nil { return Opened(connection: connection, rebuildReason: nil) }
            } catch {
                guard error.isCorruption else { throw error }
                reason = error.message
            }
            putAside(path)
        }
        return Opened(connection: try begin(path), rebuildReason: reason)
    }

    static func begin(_ path: String) throws(SQLiteConnection.Failure) -> SQLiteConnection {
        let connection = try SQLiteConnection(path: path)
        try configure(connection)
        try connection.transaction { () throws(SQLiteConnection.Failure) in
            try connection.execute(tables)
            try connection.execute("PRAGMA application_id = \(applicationID)")
            try connection.execute("PRAGMA user_version = \(version)")
        }
        return connection
    }

    /// Removes the copy kept before, renames the file and drops SQLite's side files, which belong to it.
    static func putAside(_ path: String) {
        rename(path, path + ".broken")
        unlink(path + "-wal")
        unlink(path + "-shm")
    }

    private static func configure(_ connection: SQLiteConnection) throws(SQLiteConnection.Failure) {
        try connection.execute("PRAGMA journal_mode = WAL")
        // The segments are the truth: losing the last transactions only means reading their frames again.
        try connection.execute("PRAGMA synchronous = NORMAL")
        try connection.execute("PRAGMA cache_size = -4096")
        try connection.execute("PRAGMA journal_size_limit = 16777216")
    }

    /// What keeps the file from being used, nil for a good one.
    static func strangeness(_ connection: SQLiteConnection) throws(SQLiteConnection.Failure) -> String? {
        let application = try connection.integer("PRAGMA application_id") ?? 0
        guard application == applicationID else { return "application id \(application) is not ours" }
        let found = try connection.integer("PRAGMA user_version") ?? 0
        guard found == version else { return "version \(found), this program knows \(version)" }
        // Touches the root page of the two tables everything depends on.
        _ = try connection.integer("SELECT max(lsn) FROM batches")
        let mark = try connection.integer("SELECT value FROM meta WHERE key = 'indexed_through_lsn'")
        // Older programs write none.
        let check = try connection.integer("SELECT value FROM meta WHERE key = 'indexed_through_check'")
        if let mark, let check, check != Int64(bitPattern: Self.check(of: UInt64(bitPattern: mark))) {
            return "its mark \(mark) is damaged"
        }
        return nil
    }

    /// SQLite has no checksums, and a mark that a flipped bit has moved would make the lane give up LSNs that never were.
    static func check(of mark: UInt64) -> UInt64 {
        let mixed = (mark ^ (mark >> 30)) &* 0xBF58_476D_1CE4_E5B9
        return (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    }
}
