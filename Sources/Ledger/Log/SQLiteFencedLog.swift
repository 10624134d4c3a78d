public import NIOCore
import Synchronization

/// The fenced log of a single node, in one SQLite file.
///
/// - Durability: WAL journal with synchronous=FULL, asserted after open; `append` is one statement and one fsync.
/// - Exclusion: an flock on `<path>.lock` refuses a second process; the epoch row refuses a superseded writer.
/// - No SQL here knows what the blobs hold. Layout: docs/ledger-format.md.
public final class SQLiteFencedLog: FencedLog {
    /// The layout of the tables, kept as `user_version`.
    static let layoutVersion = 1
    /// "CLDG", kept as `application_id`.
    static let applicationID = 0x434C_4447

    private let opened: Mutex<Opened?>

    /// Opens or makes the file at `path`, whose directory must exist. `shard` is 0 until the ledger is sharded.
    public init(path: String, shard: UInt64 = 0) throws(FencedLogError) {
        let lock = try LockFile(path: path + ".lock")
        opened = Mutex(try Opened(path: path, shard: shard, lock: lock))
    }

    public func beginEpoch() throws(FencedLogError) -> UInt64 {
        try use { log throws(FencedLogError) in try log.beginEpoch() }
    }

    public func append(epoch: UInt64, sequence: UInt64, blob: ByteBuffer) throws(FencedLogError) -> FencedAppend {
        try use { log throws(FencedLogError) in try log.append(epoch, sequence, blob) }
    }

    public func read(from sequence: UInt64, bytesMax: Int) throws(FencedLogError) -> [LogBlob] {
        try use { log throws(FencedLogError) in try log.read(sequence, bytesMax) }
    }

    public func putSnapshot(
        epoch: UInt64, through sequence: UInt64, piece: Int, bytes: ByteBuffer, isLast: Bool
    ) throws(FencedLogError) -> FencedAppend {
        try use { log throws(FencedLogError) in
            try log.putSnapshot(epoch, sequence, UInt64(piece), bytes, isLast)
        }
    }

    public func readSnapshot() throws(FencedLogError) -> LogSnapshot? {
        try use { log throws(FencedLogError) in try log.readSnapshot() }
    }

    public func trim(epoch: UInt64, through sequence: UInt64) throws(FencedLogError) -> FencedAppend {
        try use { log throws(FencedLogError) in try log.trim(epoch, sequence) }
    }

    public func close() {
        opened.withLock { $0 = nil }
    }

    private func use<Result: Sendable>(
        _ body: (Opened) throws(FencedLogError) -> Result
    ) throws(FencedLogError) -> Result {
        try opened.withLock { log throws(FencedLogError) -> Result in
            guard let log else { throw .closed }
            return try body(log)
        }
    }
}

/// The open file: only ever used under the lock above.
private final class Opened {
    private let lock: LockFile
    private let connection: SQLiteConnection
    private let shard: UInt64
    private let insert: SQLiteStatement
    private let writer: SQLiteStatement
    private let select: SQLiteStatement

    init(path: String, shard: UInt64, lock: LockFile) throws(FencedLogError) {
        self.lock = lock
        self.shard = shard
        connection = try SQLiteConnection(path: path)
        try Opened.prepare(connection, path: path, shard: shard)
        // One statement, so that the checks and the blob are one transaction and one fsync.
        insert = try connection.prepare(
            """
            INSERT INTO log (shard, sequence, epoch, blob) SELECT ?1, ?2, ?3, ?4 FROM writer
            WHERE shard = ?1 AND epoch = ?3
            AND ?2 = 1 + max(trimmed, coalesce((SELECT max(sequence) FROM log WHERE shard = ?1), 0))
            """)
        writer = try connection.prepare(
            """
            SELECT epoch, 1 + max(trimmed, coalesce((SELECT max(sequence) FROM log WHERE shard = ?1), 0)), snapshot
            FROM writer WHERE shard = ?1
            """)
        select = try connection.prepare(
            "SELECT sequence, epoch, blob FROM log WHERE shard = ?1 AND sequence >= ?2 ORDER BY sequence")
    }

    private static func prepare(
        _ connection: borrowing SQLiteConnection, path: String, shard: UInt64
    ) throws(FencedLogError) {
        let version = Int(try connection.text("PRAGMA user_version")) ?? -1
        let tables = try connection.text("SELECT count(*) FROM sqlite_schema")
        guard version <= SQLiteFencedLog.layoutVersion else {
            throw .newerVersion(path: path, found: version, supported: SQLiteFencedLog.layoutVersion)
        }
        guard version == SQLiteFencedLog.layoutVersion || tables == "0" else {
            throw .invalid(path: path, reason: "a SQLite file of something else (user_version \(version))")
        }
        try connection.execute("PRAGMA journal_mode = WAL")
        try connection.execute("PRAGMA synchronous = FULL")
        guard try connection.text("PRAGMA journal_mode") == "wal", try connection.text("PRAGMA synchronous") == "2"
        else { throw .invalid(path: path, reason: "SQLite refuses WAL with synchronous=FULL here") }
        try connection.transaction { () throws(FencedLogError) in
            try connection.execute(
                """
                CREATE TABLE IF NOT EXISTS log (shard INTEGER NOT NULL, sequence INTEGER NOT NULL,
                    epoch INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (shard, sequence));
                CREATE TABLE IF NOT EXISTS writer (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL,
                    trimmed INTEGER NOT NULL, snapshot INTEGER NOT NULL);
                CREATE TABLE IF NOT EXISTS snapshot (shard INTEGER NOT NULL, sequence INTEGER NOT NULL,
                    piece INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (shard, sequence, piece));
                INSERT OR IGNORE INTO writer VALUES (\(shard), 0, 0, 0);
                PRAGMA user_version = \(SQLiteFencedLog.layoutVersion);
                PRAGMA application_id = \(SQLiteFencedLog.applicationID);
                """)
        }
        // What a killed writer left in the journal may be in the page cache only: move it into the synced file before
        // anything of it is shown.
        _ = try connection.text("PRAGMA wal_checkpoint(TRUNCATE)")
        try LockFile.syncDirectory(of: path)
    }

    func beginEpoch() throws(FencedLogError) -> UInt64 {
        try connection.execute("UPDATE writer SET epoch = epoch + 1 WHERE shard = \(shard)")
        return try standing().epoch
    }

    private func standing() throws(FencedLogError) -> (epoch: UInt64, nextSequence: UInt64, snapshot: UInt64) {
        writer.bind(shard)
        defer { writer.reset() }
        guard try writer.step(on: connection) else { throw .failed(operation: "read epoch", reason: "no row") }
        return (writer.number(0), writer.number(1), writer.number(2))
    }

    /// Why a write under `epoch` may not be done, nil if it may.
    private func obstacle(_ epoch: UInt64) throws(FencedLogError) -> FencedAppend? {
        let standing = try standing()
        return standing.epoch == epoch ? nil : .fenced(currentEpoch: standing.epoch)
    }

    func append(_ epoch: UInt64, _ sequence: UInt64, _ blob: ByteBuffer) throws(FencedLogError) -> FencedAppend {
        insert.bind(shard, sequence, epoch)
        insert.bind(blob, at: 4)
        _ = try insert.step(on: connection)
        if connection.changes == 1 { return .done }
        if let obstacle = try obstacle(epoch) { return obstacle }
        return .conflict(nextSequence: try standing().nextSequence)
    }

    func read(_ sequence: UInt64, _ bytesMax: Int) throws(FencedLogError) -> [LogBlob] {
        select.bind(shard, sequence)
        defer { select.reset() }
        var blobs: [LogBlob] = []
        var bytes = 0
        while bytes < bytesMax {
            guard try select.step(on: connection) else { break }
            let blob = LogBlob(sequence: select.number(0), epoch: select.number(1), blob: select.bytes(2))
            bytes += blob.blob.readableBytes
            blobs.append(blob)
        }
        return blobs
    }

    func putSnapshot(
        _ epoch: UInt64, _ sequence: UInt64, _ piece: UInt64, _ bytes: ByteBuffer, _ isLast: Bool
    ) throws(FencedLogError) -> FencedAppend {
        try connection.transaction { () throws(FencedLogError) -> FencedAppend in
            if let obstacle = try obstacle(epoch) { return obstacle }
            let standing = try standing()
            if piece == 0 {
                try connection.execute(
                    "DELETE FROM snapshot WHERE shard = \(shard) AND sequence <> \(standing.snapshot)")
            }
            let count = try connection.text(
                "SELECT count(*) FROM snapshot WHERE shard = \(shard) AND sequence = \(sequence)")
            guard sequence > standing.snapshot, count == "\(piece)" else {
                return .conflict(nextSequence: standing.nextSequence)
            }
            let statement = try connection.prepare("INSERT INTO snapshot VALUES (?1, ?2, ?3, ?4)")
            statement.bind(shard, sequence, piece)
            statement.bind(bytes, at: 4)
            _ = try statement.step(on: connection)
            if isLast {
                try connection.execute("UPDATE writer SET snapshot = \(sequence) WHERE shard = \(shard)")
                try connection.execute("DELETE FROM snapshot WHERE shard = \(shard) AND sequence <> \(sequence)")
            }
            return .done
        }
    }

    func readSnapshot() throws(FencedLogError) -> LogSnapshot? {
        let sequence = try standing().snapshot
        guard sequence > 0 else { return nil }
        let statement = try connection.prepare(
            "SELECT bytes FROM snapshot WHERE shard = ?1 AND sequence = ?2 ORDER BY piece")
        statement.bind(shard, sequence)
        var snapshot = LogSnapshot(sequence: sequence, pieces: [])
        while try statement.step(on: connection) { snapshot.pieces.append(statement.bytes(0)) }
        return snapshot
    }

    func trim(_ epoch: UInt64, _ sequence: UInt64) throws(FencedLogError) -> FencedAppend {
        try connection.transaction { () throws(FencedLogError) -> FencedAppend in
            if let obstacle = try obstacle(epoch) { return obstacle }
            let standing = try standing()
            guard sequence <= standing.snapshot else { return .conflict(nextSequence: standing.nextSequence) }
            try connection.execute("DELETE FROM log WHERE shard = \(shard) AND sequence <= \(sequence)")
            try connection.execute("UPDATE writer SET trimmed = max(trimmed, \(sequence)) WHERE shard = \(shard)")
            return .done
        }
    }
}
