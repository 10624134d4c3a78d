import CSQLite
import Glibc

/// One SQLite connection and its prepared statements. Not shared between threads without a lock around it.
///
/// Texts may hold any character, also NUL. Other modules of a gateway that keep a small file use it too.
package final class SQLiteConnection {
    package struct Failure: Error {
        package var code: Int32
        package var message: String

        package init(code: Int32, message: String) {
            self.code = code
            self.message = message
        }

        /// The file is no database or a broken one; rebuilding helps, retrying does not.
        package var isCorruption: Bool {
            [SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_FORMAT, SQLITE_SCHEMA].contains(code & 0xFF)
        }

        /// Somebody else has the file locked, or the disk is full: waiting helps, a new file does not.
        package var isPassing: Bool { [SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_NOMEM].contains(code & 0xFF) }
    }

    private let handle: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    /// - Parameter patienceMs: how long to wait for another process that has the file locked.
    package convenience init(path: String, readOnly: Bool = false, patienceMs: Int32 = 2000) throws(Failure) {
        let flags = readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        try self.init(name: path, flags: flags, patienceMs: patienceMs)
    }

    private init(name: String, flags: Int32, patienceMs: Int32) throws(Failure) {
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(name, &opened, flags | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let opened else {
            let message = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "no memory"
            sqlite3_close_v2(opened)
            throw Failure(code: code, message: message)
        }
        handle = opened
        sqlite3_busy_timeout(handle, patienceMs)
    }

    /// Looks into a file that somebody else may be writing: no byte is written, no file is made beside it. Not `isWhole`: the
    /// newest transactions, which are in the `-wal` file, cannot be read that way, because the `-shm` file is not there.
    ///
    /// A file in WAL mode is usually opened with a `-wal` and a `-shm` file, which are made where they are not there. Without a
    /// `-wal` file the database is all (`immutable`). After a kill -9 both are there; `readonly_shm` (os_unix.c) then reads
    /// `-wal` into an index in memory, and beside a process that is at work it uses that one's.
    static func looking(into path: String) throws(Failure) -> (connection: SQLiteConnection, isWhole: Bool) {
        let hasWAL = access(path + "-wal", F_OK) == 0
        let isShared = hasWAL && access(path + "-shm", F_OK) == 0
        let name = "file:\(escaped(path))?mode=ro&" + (isShared ? "readonly_shm=1" : "immutable=1")
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI
        return (try SQLiteConnection(name: name, flags: flags, patienceMs: 2000), isShared || !hasWAL)
    }

    /// A path as the URIs of SQLite have it.
    private static func escaped(_ path: String) -> String {
        path.utf8.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "%"): text += "%25"
            case UInt8(ascii: "?"): text += "%3f"
            case UInt8(ascii: "#"): text += "%23"
            case 0x21...0x7e: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    package func execute(_ sql: String) throws(Failure) {
        try check(sqlite3_exec(handle, sql, nil, nil, nil))
    }

    /// Runs `body` as one transaction, rolled back when it throws.
    package func transaction(_ body: () throws(Failure) -> Void) throws(Failure) {
        try execute("BEGIN IMMEDIATE")
        do throws(Failure) {
            try body()
            try execute("COMMIT")
        } catch {
            sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    /// Runs a statement to its end, handing each row to `row`. `bind` numbers parameters from 1.
    package func run(
        _ sql: StaticString, _ values: [Value] = [], row: (Row) -> Void = { _ in }
    ) throws(Failure) {
        let statement = try prepared(sql.description)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (place, value) in values.enumerated() { try bind(value, to: Int32(place + 1), of: statement) }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: row(Row(statement: statement))
            case SQLITE_DONE: return
            default: throw failure()
            }
        }
    }

    /// A prepared statement to be run many times with `insert`; valid while this connection lives.
    func statement(_ sql: StaticString) throws(Failure) -> OpaquePointer { try prepared(sql.description) }

    /// Runs a statement without rows whose parameters are all integers: the hot path of the index.
    func insert(
        _ statement: OpaquePointer, _ a: Int64, _ b: Int64, _ c: Int64, _ d: Int64, _ e: Int64, _ f: Int64, _ g: Int64,
        _ h: Int64
    ) throws(Failure) {
        sqlite3_bind_int64(statement, 1, a)
        sqlite3_bind_int64(statement, 2, b)
        sqlite3_bind_int64(statement, 3, c)
        sqlite3_bind_int64(statement, 4, d)
        sqlite3_bind_int64(statement, 5, e)
        sqlite3_bind_int64(statement, 6, f)
        sqlite3_bind_int64(statement, 7, g)
        sqlite3_bind_int64(statement, 8, h)
        let code = sqlite3_step(statement)
        sqlite3_reset(statement)
        if code != SQLITE_DONE { throw failure() }
    }

    /// The integer in the first column of the first row.
    package func integer(_ sql: StaticString, _ values: [Value] = []) throws(Failure) -> Int64? {
        var found: Int64?
        try run(sql, values) { row in found = found ?? row.optionalInteger(0) }
        return found
    }

    package enum Value {
        case integer(Int64)
        case text(String)
        case blob([UInt8])
    }

    package struct Row {
        fileprivate let statement: OpaquePointer

        package func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
        package func optionalInteger(_ column: Int32) -> Int64? {
            sqlite3_column_type(statement, column) == SQLITE_NULL ? nil : integer(column)
        }
        package func text(_ column: Int32) -> String {
            guard let start = sqlite3_column_text(statement, column) else { return "" }
            let count = Int(sqlite3_column_bytes(statement, column))
            return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
        }
    }

    private func prepared(_ sql: String) throws(Failure) -> OpaquePointer {
        if let known = statements[sql] { return known }
        var statement: OpaquePointer?
        try check(sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil))
        guard let statement else { throw failure() }
        statements[sql] = statement
        return statement
    }

    private func bind(_ value: Value, to place: Int32, of statement: OpaquePointer) throws(Failure) {
        switch value {
        case .integer(let number): try check(sqlite3_bind_int64(statement, place, number))
        case .text(let text):
            let count = Int32(text.utf8.count)
            try check(sqlite3_bind_text(statement, place, text, count, cairn_sqlite_transient()))
        case .blob(let bytes):
            try check(sqlite3_bind_blob(statement, place, bytes, Int32(bytes.count), cairn_sqlite_transient()))
        }
    }

    private func check(_ code: Int32) throws(Failure) {
        if code != SQLITE_OK { throw failure() }
    }

    private func failure() -> Failure {
        Failure(code: sqlite3_errcode(handle), message: String(cString: sqlite3_errmsg(handle)))
    }
}
