import Glibc
import NIOCore

/// An open file descriptor, closed when it goes.
struct OpenFile: ~Copyable {
    let descriptor: Int32

    /// nil on failure; `errno` tells why.
    init?(_ path: String, _ flags: Int32, mode: mode_t = 0o644) {
        while true {
            let opened = Glibc.open(path, flags | O_CLOEXEC, mode)
            if opened >= 0 {
                descriptor = opened
                return
            }
            if errno != EINTR { return nil }
        }
    }

    deinit { close(descriptor) }

    borrowing func facts() -> stat? {
        var facts = stat()
        return fstat(descriptor, &facts) == 0 ? facts : nil
    }

    /// Whether writes bypass the page cache from now on; false where the file system does not do it.
    borrowing func setDirect(_ isDirect: Bool) -> Bool {
        fcntl(descriptor, F_SETFL, isDirect ? Self.direct : 0) == 0
    }

    /// `O_DIRECT` of the kernel's asm/fcntl.h. Glibc hides it behind `_GNU_SOURCE`.
    private static let direct: Int32 = {
        #if arch(arm64) || arch(arm)
            0o200000
        #else
            0o40000
        #endif
    }()

    /// Writes all of `bytes`; false on failure.
    borrowing func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while let base = rest.baseAddress, rest.count > 0 {
            let written = Glibc.write(descriptor, base, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                return false
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return true
    }

    /// Fills `bytes` from `offset` on; the count read, fewer only at the end of the file; nil on failure.
    borrowing func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        readFully(descriptor, bytes, at: offset)
    }
}

/// Fills `buffer` from `offset` on; the count read, fewer only at the end of the file; nil on failure.
package func readFully(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
    var done = 0
    while done < buffer.count, let base = buffer.baseAddress {
        let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
        if count < 0 {
            if errno == EINTR { continue }
            return nil
        }
        if count == 0 { break }
        done += count
    }
    return done
}

/// Syncs the directory at `path`; a directory that is gone counts as done. False on failure.
func syncDirectory(_ path: String) -> Bool {
    guard let directory = OpenFile(path, O_RDONLY | O_DIRECTORY) else { return errno == ENOENT || errno == ENOTDIR }
    return fsync(directory.descriptor) == 0
}

/// An errno as our error. Source: errno(3), and open(2), write(2), link(2) for what it means there.
func fileError(
    _ operation: ObjectStoreOperation, _ key: String, _ step: String, _ code: Int32 = errno
) -> ObjectStoreError {
    let kind: ObjectStoreError.Kind =
        switch code {
        case ENOENT: .notFound
        case EACCES, EPERM, EROFS: .denied
        case ENOSPC, EDQUOT: .full
        case ENOTDIR, EISDIR: .invalid("the key runs through another object, or is a directory of others")
        case ENAMETOOLONG: .invalid("name too long for the file system")
        case EXDEV: .invalid("another file system is mounted inside the root")
        default: .unavailable
        }
    return ObjectStoreError(
        operation, key: key, kind, status: Int(code), detail: "\(step): \(String(cString: strerror(code)))")
}

extension stat {
    var isFile: Bool { st_mode & S_IFMT == S_IFREG }
    var isDirectory: Bool { st_mode & S_IFMT == S_IFDIR }

    var info: ObjectInfo {
        let modifiedNs = UInt64(bitPattern: Int64(st_mtim.tv_sec)) &* 1_000_000_000 &+ UInt64(st_mtim.tv_nsec)
        return ObjectInfo(
            sizeBytes: Int(st_size),
            etag: "\"\(String(UInt64(st_ino), radix: 16))-\(String(modifiedNs, radix: 16))\"",
            lastModifiedMs: Int64(st_mtim.tv_sec) * 1000 + Int64(st_mtim.tv_nsec) / 1_000_000)
    }
}
