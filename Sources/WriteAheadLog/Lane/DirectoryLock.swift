import Glibc
import Synchronization

/// Holds a lane's directory with flock(2) while it lives, so that two processes never open one log: the directory itself,
/// and `<directory>/lock` as older programs do. The kernel lets go of both when the process dies, however it dies.
public final class DirectoryLock: Sendable {
    private let descriptors: Mutex<[Int32]>

    /// Throws ``WALError/locked(path:)`` at once when somebody holds the lock. On a file system that may not be written
    /// the directory's lock has to do, so that a log there can be opened, and heals when it may be written again.
    ///
    /// - Parameter makes: the directory and the lock file are made when absent. False changes nothing on the disk.
    public init(directory: String, makes: Bool = true) throws(WALError) {
        if makes { do throws(DiskError) { try makeDirectories(directory) } catch { throw .io(error) } }
        let path = directory + "/lock"
        var held: [Int32] = []
        do throws(WALError) {
            held.append(try Self.hold(directory, O_RDONLY | O_DIRECTORY, named: path))
            do throws(WALError) {
                held.append(try Self.hold(path, makes ? O_RDWR | O_CREAT : O_RDONLY, named: path))
            } catch {
                guard case .io(let failure) = error else { throw error }
                switch failure.errno {
                case ENOENT where !makes: break
                case EROFS, EACCES, ENOSPC, EDQUOT, EIO:
                    do throws(WALError) {
                        held.append(try Self.hold(path, O_RDONLY, named: path))
                    } catch {
                        if case .locked = error { throw error }
                    }
                default: throw error
                }
            }
        } catch {
            for descriptor in held { close(descriptor) }
            throw error
        }
        descriptors = Mutex(held)
    }

    private static func hold(_ path: String, _ flags: Int32, named name: String) throws(WALError) -> Int32 {
        let opened = open(path, flags | O_CLOEXEC, 0o640)
        guard opened >= 0 else { throw .io(DiskError(.open, path, errno: errno)) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(opened)
            throw code == EWOULDBLOCK ? .locked(path: name) : .io(DiskError(.open, path, errno: code))
        }
        return opened
    }

    deinit { release() }

    /// Lets go of the lock before the end of this object's life.
    public func release() {
        descriptors.withLock { held in
            for descriptor in held { close(descriptor) }
            held = []
        }
    }
}
