import CUring
import Glibc
import Synchronization

/// One segment file: a descriptor for the writer (O_DIRECT where it goes) and one for readers, both opened when first
/// used.
public final class LocalFile: Sendable {
    let path: String
    let name: String
    private let descriptors = Mutex(Descriptors())

    private struct Descriptors: ~Copyable {
        var writer: Int32 = -1
        var reader: Int32 = -1
    }

    init(path: String, name: String) {
        self.path = path
        self.name = name
    }

    deinit {
        descriptors.withLock { held in
            if held.writer >= 0 { Glibc.close(held.writer) }
            if held.reader >= 0 { Glibc.close(held.reader) }
        }
    }

    /// The writer's descriptor; stays open until `closeWriter`. Only the one writer may call this.
    func writer() throws(DiskError) -> Int32 {
        let result: Result<Int32, DiskError> = descriptors.withLock { held in
            if held.writer < 0 {
                held.writer = openForWriting(path, flags: O_RDWR | O_CLOEXEC)
            }
            return held.writer >= 0 ? .success(held.writer) : .failure(DiskError(.open, name, errno: errno))
        }
        return try result.get()
    }

    func closeWriter() {
        descriptors.withLock { held in
            if held.writer >= 0 { Glibc.close(held.writer) }
            held.writer = -1
        }
    }

    func closeReader() {
        descriptors.withLock { held in
            if held.reader >= 0 { Glibc.close(held.reader) }
            held.reader = -1
        }
    }

    /// Runs `body` with the readers' descriptor, which cannot be closed meanwhile. True in `opened` when it was opened
    /// now.
    func reading<T: Sendable>(
        _ body: (Int32) -> Result<T, DiskError>
    ) throws(DiskError) -> (value: T, opened: Bool) {
        let result: Result<(value: T, opened: Bool), DiskError> = descriptors.withLock { held in
            let mustOpen = held.reader < 0
            if mustOpen {
                held.reader = Glibc.open(path, O_RDONLY | O_CLOEXEC)
                guard held.reader >= 0 else { return .failure(DiskError(.open, name, errno: errno)) }
                // Readers ask for whole ranges; read-ahead would pull in blocks the writer is about to change.
                _ = posix_fadvise(held.reader, 0, 0, POSIX_FADV_RANDOM)
            }
            return body(held.reader).map { ($0, mustOpen) }
        }
        return try result.get()
    }
}

/// Opens with O_DIRECT, and without where the file system refuses it (tmpfs: EINVAL). -1 and errno when both fail.
func openForWriting(_ path: String, flags: Int32) -> Int32 {
    let direct = Glibc.open(path, flags | cairn_o_direct(), 0o640)
    if direct >= 0 || errno != EINVAL { return direct }
    // A refused O_CREAT | O_EXCL may have made the file all the same.
    return Glibc.open(path, flags & ~O_EXCL, 0o640)
}

func describe(errno code: Int32) -> String {
    String(cString: strerror(code)) + " (\(code))"
}
