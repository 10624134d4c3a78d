import Glibc

/// Keeps other processes away for as long as it lives; the kernel lets go when the process dies, however it dies.
final class LockFile: Sendable {
    private let descriptor: CInt

    init(path: String) throws(FencedLogError) {
        let opened = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { throw .failed(operation: "open \(path)", reason: String(cString: strerror(errno))) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            Glibc.close(opened)
            if reason == EWOULDBLOCK { throw .heldByAnother(path: path) }
            throw .failed(operation: "flock \(path)", reason: String(cString: strerror(reason)))
        }
        descriptor = opened
    }

    deinit { Glibc.close(descriptor) }

    /// Makes the names in the directory of `path` durable.
    static func syncDirectory(of path: String) throws(FencedLogError) {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let opened = Glibc.open(directory.isEmpty ? "/" : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else {
            throw .failed(operation: "open \(directory)", reason: String(cString: strerror(errno)))
        }
        defer { Glibc.close(opened) }
        guard fsync(opened) == 0 else {
            throw .failed(operation: "fsync \(directory)", reason: String(cString: strerror(errno)))
        }
    }
}
