import Glibc
import Synchronization

/// Holds `<directory>/lock` with flock(2) while it lives, so that two processes never open one log. The kernel lets go
/// of it when the process dies, however it dies.
public final class DirectoryLock: Sendable {
    private let descriptor: Mutex<Int32>

    /// Makes the directory when absent. Throws ``WALError/locked(path:)`` at once when somebody holds the lock.
    public init(directory: String) throws(WALError) {
        do throws(DiskError) { try makeDirectories(directory) } catch { throw .io(error) }
        let path = directory + "/lock"
        let opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard opened >= 0 else { throw .io(DiskError(.open, path, errno: errno)) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(opened)
            throw code == EWOULDBLOCK ? .locked(path: path) : .io(DiskError(.open, path, errno: code))
        }
        descriptor = Mutex(opened)
    }

    deinit { release() }

    /// Lets go of the lock before the end of this object's life.
    public func release() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }
}
