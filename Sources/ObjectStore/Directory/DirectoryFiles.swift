import Glibc
import NIOCore

/// The blocking file work of a directory store. Every call may come from any thread of the pool, and from other processes too.
struct DirectoryFiles: Sendable {
    /// No slash at its end.
    let root: String
    private let writer = DirectWriter()
    private var temporary: String { root + "/" + ObjectKey.reservedElement + "/temporary" }

    /// A parent directory may be removed between making it and linking into it, once by every concurrent `delete`.
    private static let linkAttemptsMax = 1000

    init(root: String) {
        var path = root
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        self.root = path
    }

    func open() throws(ObjectStoreError) {
        try makeDirectories(temporary, .open, key: root)
        try sweep()
        let probe = try temporaryFile(.open, key: root)
        defer { unlink(probe.path) }
        guard link(probe.path, probe.path + ".link") == 0 else {
            guard errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS else {
                throw fileError(.open, root, "link in \(temporary)")
            }
            throw ObjectStoreError(.open, key: root, .invalid("the file system has no hard links"), status: Int(errno))
        }
        unlink(probe.path + ".link")
        flock(probe.open.descriptor, LOCK_UN)
    }

    /// Removes what crashed writers left. A living writer of any process holds a lock on its file.
    private func sweep() throws(ObjectStoreError) {
        guard let names = fileNames(in: temporary) else { throw fileError(.open, root, "list \(temporary)") }
        for name in names {
            guard let file = OpenFile(temporary + "/" + name, O_RDONLY | O_NOFOLLOW) else { continue }
            if flock(file.descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { continue }
            unlink(temporary + "/" + name)
            // Only now: a writer that gets the lock must also find its file unlinked.
            flock(file.descriptor, LOCK_UN)
        }
    }

    func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) throws(ObjectStoreError) -> PutResult {
        if ifAbsent, try exists(key) { return .alreadyExists }
        let file = try temporaryFile(.put, key: key)
        defer { unlink(file.path) }
        guard writer.write(body, to: file.open) else { throw fileError(.put, key, "write") }
        return try finish(file, key, ifAbsent: ifAbsent)
    }

    func put(_ key: String, pieces next: () throws -> ByteBuffer?) throws(ObjectStoreError) -> PutResult {
        let file = try temporaryFile(.put, key: key)
        defer { unlink(file.path) }
        while true {
            let piece: ByteBuffer?
            do { piece = try next() } catch {
                throw ObjectStoreError(.put, key: key, .cancelled, detail: "\(error)")
            }
            guard let piece else { break }
            let isWritten = piece.withUnsafeReadableBytes { file.open.write($0) }
            guard isWritten else { throw fileError(.put, key, "write") }
        }
        return try finish(file, key, ifAbsent: false)
    }

    /// Makes what was written durable and gives it its name.
    private func finish(
        _ file: borrowing TemporaryFile, _ key: String, ifAbsent: Bool
    ) throws(ObjectStoreError) -> PutResult {
        guard fsync(file.open.descriptor) == 0 else { throw fileError(.put, key, "fsync") }
        guard try publish(file.path, key: key, ifAbsent: ifAbsent) else {
            if try exists(key) { return .alreadyExists }
            throw ObjectStoreError(.put, key: key, .conflict, detail: "created and deleted by others meanwhile")
        }
        guard syncParents(of: key) else { throw fileError(.put, key, "fsync of the directory") }
        return .created(etag: file.open.facts()?.info.etag)
    }

    /// Whether there is an object, and if so that it stays after a power cut.
    private func exists(_ key: String) throws(ObjectStoreError) -> Bool {
        guard let facts = facts(key) else { return false }
        guard facts.isFile else { throw fileError(.put, key, "create", EISDIR) }
        guard syncParents(of: key) else { throw fileError(.put, key, "fsync of the directory") }
        return true
    }

    /// Gives the finished file its name; false when `ifAbsent` and the name is taken.
    private func publish(_ path: String, key: String, ifAbsent: Bool) throws(ObjectStoreError) -> Bool {
        for _ in 0..<Self.linkAttemptsMax {
            try makeDirectories(parent(of: key), .put, key: key)
            if (ifAbsent ? link(path, self.path(key)) : rename(path, self.path(key))) == 0 { return true }
            if ifAbsent, errno == EEXIST { return false }
            guard errno == ENOENT else { throw fileError(.put, key, ifAbsent ? "link" : "rename") }
        }
        throw ObjectStoreError(.put, key: key, .conflict, detail: "its directory was removed again and again")
    }

    func get(_ key: String, range: Range<Int>?) throws(ObjectStoreError) -> ByteBuffer {
        guard let file = OpenFile(path(key), O_RDONLY | O_NOFOLLOW) else {
            throw isAbsence(errno) ? ObjectStoreError(.get, key: key, .notFound) : fileError(.get, key, "open")
        }
        guard let facts = file.facts() else { throw fileError(.get, key, "fstat") }
        guard facts.isFile else { throw ObjectStoreError(.get, key: key, .notFound) }
        let range = range ?? 0..<Int(facts.st_size)
        guard range.upperBound <= Int(facts.st_size) else {
            throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "object of \(facts.st_size) bytes")
        }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(range.count)
        var count: Int?
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: range.count) { space in
            count = file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: space[..<range.count]), at: range.lowerBound)
            return count ?? 0
        }
        guard let count else { throw fileError(.get, key, "read") }
        guard count == range.count else {
            throw ObjectStoreError(.get, key: key, .corrupt("read \(count) bytes of \(range)"))
        }
        return bytes
    }

    func head(_ key: String) throws(ObjectStoreError) -> ObjectInfo? {
        guard let facts = facts(key) else {
            if isAbsence(errno) { return nil }
            throw fileError(.head, key, "lstat")
        }
        return facts.isFile ? facts.info : nil
    }

    func delete(_ keys: [String]) -> [String: ObjectStoreError] {
        var failures: [String: ObjectStoreError] = [:]
        var parents: [String: String] = [:]
        for key in keys {
            if unlink(path(key)) == 0 {
                parents[parent(of: key)] = key
            } else if !isAbsence(errno), errno != EISDIR {
                failures[key] = fileError(.delete, key, "unlink")
            }
        }
        for (directory, key) in parents {
            let kept = removeEmpty(directory)
            if !syncDirectory(kept) { failures[key] = fileError(.delete, key, "fsync of the directory") }
        }
        return failures
    }

    /// Removes `directory` and those above it as long as they are empty; returns the first that stays. A create that lost its
    /// directory to this makes it again: ``publish(_:key:ifAbsent:)``.
    private func removeEmpty(_ directory: String) -> String {
        var path = directory
        while path != root, rmdir(path) == 0 || errno == ENOENT { path = above(path) }
        return path
    }

    private func temporaryFile(
        _ operation: ObjectStoreOperation, key: String
    ) throws(ObjectStoreError) -> TemporaryFile {
        for _ in 0..<8 {
            let name = String(UInt64.random(in: .min ... .max), radix: 16) + "-" + String(getpid())
            let path = temporary + "/" + name
            guard let open = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL) else {
                if errno == EEXIST { continue }
                throw fileError(operation, key, "create a temporary file")
            }
            // A sweep may have come between creating and locking: then the lock is taken or the name gone, and another is needed.
            if flock(open.descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { continue }
            if open.facts()?.st_nlink == 1 { return TemporaryFile(path: path, open: open) }
        }
        throw ObjectStoreError(operation, key: key, .unavailable, detail: "no temporary file could be made")
    }

    private func makeDirectories(
        _ path: String, _ operation: ObjectStoreOperation, key: String
    ) throws(ObjectStoreError) {
        if mkdir(path, 0o755) == 0 { return }
        if errno == EEXIST { return }
        guard errno == ENOENT, path != "/", !path.isEmpty else { throw fileError(operation, key, "mkdir \(path)") }
        let above = above(path)
        if above != path { try makeDirectories(above, operation, key: key) }
        guard mkdir(path, 0o755) == 0 || errno == EEXIST || errno == ENOENT else {
            throw fileError(operation, key, "mkdir \(path)")
        }
    }

    /// Every directory from the key's own up to the root: one of them may have been made just now, by us or by another writer who
    /// has not synced it yet.
    private func syncParents(of key: String) -> Bool {
        var directory = parent(of: key)
        while syncDirectory(directory) {
            if directory == root { return true }
            directory = above(directory)
        }
        return false
    }

    private func path(_ key: String) -> String { root + "/" + key }
    private func parent(of key: String) -> String { above(path(key)) }

    private func above(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private func facts(_ key: String) -> stat? {
        var facts = stat()
        return lstat(path(key), &facts) == 0 ? facts : nil
    }

    private func isAbsence(_ code: Int32) -> Bool { code == ENOENT || code == ENOTDIR }
}

/// A file that has no key yet. Locked while open, so that a sweep leaves it alone.
private struct TemporaryFile: ~Copyable {
    let path: String
    let open: OpenFile
}

/// Names in `directory` but `.` and `..`; nil on failure.
func fileNames(in directory: String) -> [String]? {
    var names: [String] = []
    guard scanDirectory(directory, { name, _ in names.append(name) }) else { return nil }
    return names
}
