import CSQLite
import NIOCore

/// One connection and its prepared statements; used by one thread at a time.
struct SQLiteConnection: ~Copyable {
    private let handle: OpaquePointer

    init(path: String) throws(FencedLogError) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            let reason = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw .failed(operation: "open \(path)", reason: reason)
        }
        handle = opened
        sqlite3_busy_timeout(handle, 5_000)
    }

    deinit { sqlite3_close_v2(handle) }

    /// Rows changed by the last statement that changes rows.
    var changes: Int { Int(sqlite3_changes(handle)) }

    func failure(_ operation: String) -> FencedLogError {
        .failed(operation: operation, reason: String(cString: sqlite3_errmsg(handle)))
    }

    func execute(_ sql: String) throws(FencedLogError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure(sql) }
    }

    /// Runs `body` in a transaction that takes the write lock at once; an error rolls it back.
    func transaction<Result>(_ body: () throws(FencedLogError) -> Result) throws(FencedLogError) -> Result {
        try execute("BEGIN IMMEDIATE")
        do throws(FencedLogError) {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            // After some errors SQLite has rolled back already, and this one says so.
            sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    func prepare(_ sql: String) throws(FencedLogError) -> SQLiteStatement {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw failure(sql) }
        return SQLiteStatement(statement, sql: sql)
    }

    /// The single value of a one-row query.
    func text(_ sql: String) throws(FencedLogError) -> String {
        let statement = try prepare(sql)
        guard try statement.step(on: self) else { throw .failed(operation: sql, reason: "no row") }
        return statement.text(0)
    }
}

/// A prepared statement: bind, step, read columns, reset.
final class SQLiteStatement {
    private let handle: OpaquePointer
    private let sql: String

    init(_ handle: OpaquePointer, sql: String) {
        self.handle = handle
        self.sql = sql
    }

    deinit { sqlite3_finalize(handle) }

    /// Numbers are kept in SQLite's signed 64 bits; sequences and epochs stay far below that.
    func bind(_ values: UInt64...) {
        for (index, value) in values.enumerated() {
            sqlite3_bind_int64(handle, Int32(index + 1), Int64(clamping: value))
        }
    }

    func bind(_ bytes: ByteBuffer, at index: Int32) {
        bytes.withUnsafeReadableBytes { raw in
            // A null pointer would bind NULL.
            guard let start = raw.baseAddress, raw.count > 0 else {
                _ = sqlite3_bind_zeroblob(handle, index, 0)
                return
            }
            sqlite3_bind_blob64(handle, index, start, UInt64(raw.count), cairn_sqlite_transient())
        }
    }

    /// Whether there is a row. After the last one, and after an error, the statement is ready to be used again.
    func step(on connection: borrowing SQLiteConnection) throws(FencedLogError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        let failure = code == SQLITE_DONE ? nil : connection.failure(sql)
        reset()
        if let failure { throw failure }
        return false
    }

    func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    func number(_ column: Int32) -> UInt64 { UInt64(clamping: sqlite3_column_int64(handle, column)) }

    func text(_ column: Int32) -> String { sqlite3_column_text(handle, column).map { String(cString: $0) } ?? "" }

    func bytes(_ column: Int32) -> ByteBuffer {
        let start = sqlite3_column_blob(handle, column)
        let count = Int(sqlite3_column_bytes(handle, column))
        return ByteBuffer(bytes: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }
}
