import FoundationEssentials
import Glibc

/// Why a key file cannot be used. Names lines, never what is on them.
public enum KeyFileError: Error, Equatable, Sendable, CustomStringConvertible {
    case unreadable(path: String, reason: String)
    /// Others than its owner may read it.
    case exposed(path: String, mode: UInt32)
    case malformed(path: String, line: Int, reason: String)
    case unwritable(path: String, reason: String)
    case refused(String)

    public var description: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): cannot be read: \(reason)"
        case .exposed(let path, let mode):
            "\(path): others may read it (mode \(String(mode, radix: 8))); chmod 600 it, and rotate the key if they did"
        case .malformed(let path, let line, let reason): "\(path):\(line): \(reason)"
        case .unwritable(let path, let reason): "\(path): cannot be written: \(reason)"
        case .refused(let reason): reason
        }
    }
}

/// A text file of keys: a line each, `id base64`; `#` begins a comment. The first key wraps.
public enum KeyFile {
    static let sizeBytesMax = 16 << 20

    /// What identifies one state of a file.
    struct Stamp: Equatable, Sendable {
        var inode: UInt64
        var sizeBytes: Int
        var changedNs: Int64

        init(_ status: stat) {
            inode = UInt64(status.st_ino)
            sizeBytes = Int(status.st_size)
            changedNs = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
        }
    }

    public static func load(_ path: String) throws(KeyFileError) -> KeyRing { try read(path).ring }

    /// The file as it is now; nil when it is not there.
    static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        return stat(path, &status) == 0 ? Stamp(status) : nil
    }

    static func read(_ path: String) throws(KeyFileError) -> (ring: KeyRing, stamp: Stamp) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: message(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .unreadable(path: path, reason: message(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path: path, reason: "not a file") }
        guard status.st_mode & exposing(path) == 0 else {
            throw .exposed(path: path, mode: UInt32(status.st_mode & 0o7777))
        }
        guard status.st_size <= sizeBytesMax else {
            throw .unreadable(path: path, reason: "\(status.st_size) bytes; at most \(sizeBytesMax) are read")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress! + filled, $0.count - filled)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .unreadable(path: path, reason: message(errno)) }
            if got == 0 { break }
            filled += got
        }
        return (try parse(String(decoding: bytes.prefix(filled), as: UTF8.self), path: path), Stamp(status))
    }

    /// systemd gives a service's user access to its credentials by an ACL, which shows as the right of the group.
    private static func exposing(_ path: String) -> mode_t {
        guard let directory = getenv("CREDENTIALS_DIRECTORY").map({ String(cString: $0) }), !directory.isEmpty,
            path.hasPrefix(directory + "/")
        else { return 0o077 }
        return 0o037
    }

    // MARK: Text

    public static func parse(_ text: String, path: String) throws(KeyFileError) -> KeyRing {
        var keys: [KeyRing.Key] = []
        var lines: [String: Int] = [:]
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            if words.isEmpty { continue }
            func malformed(_ reason: String) -> KeyFileError { .malformed(path: path, line: index + 1, reason: reason) }
            guard words.count == 2 else { throw malformed("expected an id and a key") }
            guard let data = Data(base64Encoded: String(words[1])), let secret = SecretKey(bytes: data) else {
                throw malformed("expected 32 bytes in base64 after the id")
            }
            guard let key = KeyRing.Key(id: String(words[0]), secret: secret) else {
                throw malformed("an id is 1 to \(KeyRing.idBytesMax) of A-Z a-z 0-9 . _ -")
            }
            if let earlier = lines[key.id] {
                // A file put together from several may hold a key twice.
                if keys.contains(where: { $0.id == key.id && $0.secret.isSame(as: secret) }) { continue }
                throw malformed("another key is named \(key.id), in line \(earlier)")
            }
            lines[key.id] = index + 1
            keys.append(key)
        }
        guard let ring = KeyRing(keys) else {
            throw .malformed(
                path: path, line: 1, reason: keys.isEmpty ? "holds no key" : "more than \(KeyRing.keysMax) keys")
        }
        return ring
    }

    /// One line without its end.
    public static func line(_ key: KeyRing.Key) -> String {
        key.id + " " + Data(key.secret.bytes).base64EncodedString()
    }

    // MARK: Writing

    /// Makes the file, mode 0600. Errors: `unwritable`, also when there is one already.
    public static func create(_ path: String, _ ring: KeyRing) throws(KeyFileError) {
        try write(path, ring, owner: nil)
        try syncDirectory(of: path)
    }

    /// Puts other keys in the place of the file in one step: a crash leaves the old one or the new one, and whoever reads sees
    /// one of them. Comments are not kept.
    public static func replace(_ path: String, _ ring: KeyRing) throws(KeyFileError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .unreadable(path: path, reason: message(errno)) }
        let next = path + ".new"
        try write(next, ring, owner: (status.st_uid, status.st_gid))
        guard rename(next, path) == 0 else {
            let reason = message(errno)
            unlink(next)
            throw .unwritable(path: path, reason: reason)
        }
        try syncDirectory(of: path)
    }

    private static func write(
        _ path: String, _ ring: KeyRing, owner: (uid: uid_t, gid: gid_t)?
    ) throws(KeyFileError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let hint = errno == EEXIST ? "there is one already" : message(errno)
            throw .unwritable(path: path, reason: hint)
        }
        defer { close(descriptor) }
        let text = ring.keys.map { line($0) + "\n" }.joined()
        let isWritten = Array(text.utf8).withUnsafeBytes { writeAll(descriptor, $0) }
        // As root, the file stays the service's own.
        let isOwned = owner.map { fchown(descriptor, $0.uid, $0.gid) == 0 || geteuid() != 0 } ?? true
        guard isWritten, isOwned, fsync(descriptor) == 0 else {
            let reason = message(errno)
            unlink(path)
            throw .unwritable(path: path, reason: reason)
        }
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while let base = rest.baseAddress, !rest.isEmpty {
            let written = Glibc.write(descriptor, base, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return false }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
        }
        return true
    }

    private static func syncDirectory(of path: String) throws(KeyFileError) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unwritable(path: directory, reason: message(errno)) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .unwritable(path: directory, reason: message(errno)) }
    }

    private static func message(_ number: Int32) -> String { String(cString: strerror(number)) }
}
