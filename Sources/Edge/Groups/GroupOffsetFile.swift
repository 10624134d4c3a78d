import CChecksum
import GroupCoordination
import NIOCore
import WriteAheadLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The file that keeps what groups have committed: one SQLite database, one row per offset.
///
/// - Durability: journal in WAL mode with synchronous=FULL; a transaction that returned survives a power cut.
/// - Every row carries a checksum over all its fields. A file that SQLite cannot read, or in which a checksum is wrong, is put
///   aside as `<path>.broken` (one older copy is kept), and a new one is begun with the rows that were right.
/// - Layout: docs/formats.md.
final class GroupOffsetFile {
    typealias Failure = SQLiteConnection.Failure

    /// "CRNG" in the database header; says whose file it is.
    static let applicationID: Int64 = 0x4352_4E47
    static let version: Int64 = 1

    private let path: String
    /// Nil between closing a broken file and opening its successor.
    private var connection: SQLiteConnection?

    struct Opened {
        var file: GroupOffsetFile
        var rows: [OffsetRow]
        /// Why a new file was begun; nil when the old one is good, or there was none.
        var damage: String?
    }

    /// Opens the file or makes it. Throws when it can be neither read nor made now: a full or failing disk.
    static func open(path: String) throws(Failure) -> Opened {
        let found = access(path, F_OK) == 0 ? try examine(path) : Found()
        if let connection = found.connection {
            return Opened(file: GroupOffsetFile(path: path, connection: connection), rows: found.rows, damage: nil)
        }
        if found.damage != nil { putAside(path) }
        return Opened(
            file: GroupOffsetFile(path: path, connection: try begin(path, with: found.rows)), rows: found.rows,
            damage: found.damage)
    }

    private init(path: String, connection: SQLiteConnection) {
        self.path = path
        self.connection = connection
    }

    /// Makes all of `rows` true in one transaction with one fsync.
    func write(_ rows: [OffsetRow]) throws(Failure) {
        guard let connection else { throw Failure(code: Self.corrupt, message: "the broken file has no successor yet") }
        try connection.transaction { () throws(Failure) in
            for row in rows { try Self.write(row, to: connection) }
        }
    }

    /// Puts the file aside and begins a new one with `rows`.
    func startAnew(with rows: [OffsetRow]) throws(Failure) {
        // First of all the old connection: SQLite removes the journal by its name when it closes.
        if connection != nil {
            connection = nil
            Self.putAside(path)
        }
        connection = try Self.begin(path, with: rows)
    }

    // MARK: Inside

    private static let corrupt: Int32 = 11  // SQLITE_CORRUPT
    private static let headerBytes = 100

    private static func sizeBytes(_ path: String) -> Int {
        var facts = stat()
        return stat(path, &facts) == 0 ? Int(facts.st_size) : 0
    }

    /// What a look into the file shows: a good one has a connection, a bad one a damage, one that was never finished neither.
    private struct Found {
        var connection: SQLiteConnection?
        var rows: [OffsetRow] = []
        var damage: String?
    }

    private static func examine(_ path: String) throws(Failure) -> Found {
        var found = Found()
        let foundBytes = sizeBytes(path)
        do throws(Failure) {
            let connection = try SQLiteConnection(path: path)
            try configure(connection)
            guard try connection.integer("SELECT count(*) FROM sqlite_schema") != 0 else {
                // A page without tables is what an interrupted making leaves; SQLite takes anything shorter than a header for it.
                if (1..<headerBytes).contains(foundBytes) { found.damage = "the file ends in its header" }
                return found
            }
            found.damage = try strangeness(connection)
            guard found.damage == nil else { return found }
            let wrong = try read(connection, into: &found.rows)
            if wrong > 0 { found.damage = "\(wrong) rows have a wrong checksum" } else { found.connection = connection }
        } catch {
            guard error.isDamage else { throw error }
            found.damage = error.message
        }
        return found
    }

    private static func begin(_ path: String, with rows: [OffsetRow]) throws(Failure) -> SQLiteConnection {
        let connection = try SQLiteConnection(path: path)
        try configure(connection)
        try connection.transaction { () throws(Failure) in
            try connection.execute(
                """
                CREATE TABLE IF NOT EXISTS offsets(
                    group_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
                    committed_offset INTEGER NOT NULL, leader_epoch INTEGER NOT NULL, metadata TEXT NOT NULL,
                    checksum INTEGER NOT NULL, PRIMARY KEY(group_id, topic, partition)) WITHOUT ROWID;
                PRAGMA application_id = \(applicationID);
                PRAGMA user_version = \(version);
                """)
            for row in rows { try write(row, to: connection) }
        }
        return connection
    }

    private static func configure(_ connection: SQLiteConnection) throws(Failure) {
        try connection.execute("PRAGMA journal_mode = WAL")
        try connection.execute("PRAGMA synchronous = FULL")
        try connection.execute("PRAGMA cache_size = -1024")
        try connection.execute("PRAGMA journal_size_limit = 4194304")
    }

    /// Why the file is not one of ours; nil when it is.
    private static func strangeness(_ connection: SQLiteConnection) throws(Failure) -> String? {
        let application = try connection.integer("PRAGMA application_id") ?? 0
        guard application == applicationID else { return "application id \(application) is not ours" }
        let found = try connection.integer("PRAGMA user_version") ?? 0
        return found == version ? nil : "version \(found), this program knows \(version)"
    }

    private static func putAside(_ path: String) {
        rename(path, path + ".broken")
        // They belong to the old file; the new one must not find them.
        unlink(path + "-wal")
        unlink(path + "-shm")
    }

    private static func write(_ row: OffsetRow, to connection: SQLiteConnection) throws(Failure) {
        switch row {
        case .put(let group, let place, let offset):
            try connection.run(
                "INSERT OR REPLACE INTO offsets VALUES(?, ?, ?, ?, ?, ?, ?)",
                [
                    .text(group), .text(place.topic), .integer(Int64(place.partition)), .integer(offset.offset),
                    .integer(Int64(offset.leaderEpoch)), .text(offset.metadata),
                    .integer(Int64(checksum(group, place, offset))),
                ])
        case .remove(let group, let place):
            try connection.run(
                "DELETE FROM offsets WHERE group_id = ? AND topic = ? AND partition = ?",
                [.text(group), .text(place.topic), .integer(Int64(place.partition))])
        case .removeGroup(let group):
            try connection.run("DELETE FROM offsets WHERE group_id = ?", [.text(group)])
        }
    }

    /// Adds the rows that are right; the number of the others.
    private static func read(_ connection: SQLiteConnection, into rows: inout [OffsetRow]) throws(Failure) -> Int {
        var wrong = 0
        var found: [OffsetRow] = []
        defer { rows = found }
        try connection.run(
            "SELECT group_id, topic, partition, committed_offset, leader_epoch, metadata, checksum FROM offsets"
        ) { row in
            let group = row.text(0)
            guard let partition = Int32(exactly: row.integer(2)), let epoch = Int32(exactly: row.integer(4)) else {
                wrong += 1
                return
            }
            let place = TopicPartition(topic: row.text(1), partition: partition)
            let offset = CommittedOffset(offset: row.integer(3), leaderEpoch: epoch, metadata: row.text(5))
            guard row.integer(6) == Int64(checksum(group, place, offset)) else {
                wrong += 1
                return
            }
            found.append(.put(group: group, place: place, offset: offset))
        }
        return wrong
    }

    /// CRC-32C of the fields in the order of the columns: texts as their length (4 bytes, big-endian) and UTF-8, integers
    /// big-endian, 4 bytes but for the offset, which has 8.
    static func checksum(_ group: String, _ place: TopicPartition, _ offset: CommittedOffset) -> UInt32 {
        var bytes = ByteBuffer()
        for text in [group, place.topic] {
            bytes.writeInteger(UInt32(text.utf8.count))
            bytes.writeString(text)
        }
        bytes.writeInteger(place.partition)
        bytes.writeInteger(offset.offset)
        bytes.writeInteger(offset.leaderEpoch)
        bytes.writeInteger(UInt32(offset.metadata.utf8.count))
        bytes.writeString(offset.metadata)
        return bytes.withUnsafeReadableBytes { cairn_crc32c(0, $0.baseAddress, $0.count) }
    }
}

extension SQLiteConnection.Failure {
    /// Whether the file is to blame, and not the disk, the memory or another process. A damaged schema can make SQLite say anything.
    var isDamage: Bool {
        // SQLITE_PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, NOLFS.
        ![3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 22].contains(code & 0xff)
    }
}
