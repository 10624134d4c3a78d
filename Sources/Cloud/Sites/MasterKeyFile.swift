import Glibc
import SiteAuthority

/// The file of the master key: 64 hexadecimal digits, readable by its owner only.
enum MasterKeyFile {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// - Parameter makes: makes a new one where there is none; of several that do so at once one wins and all read it.
    static func read(_ path: String, makes: Bool) throws(Failure) -> MasterKey {
        if let key = try read(path) { return key }
        guard makes else { throw Failure(description: "\(path): there is no such file") }
        try make(path)
        guard let key = try read(path) else { throw Failure(description: "\(path): gone again") }
        return key
    }

    private static func read(_ path: String) throws(Failure) -> MasterKey? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw Failure(description: "\(path): open: errno \(errno)") }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        let text = String(decoding: bytes.prefix(max(0, count)).prefix { $0 > 0x20 }, as: UTF8.self)
        guard let key = MasterKey(text) else { throw Failure(description: "\(path): holds no 64 hexadecimal digits") }
        return key
    }

    private static func make(_ path: String) throws(Failure) {
        let temporary = path + ".\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "\(temporary): create: errno \(errno)") }
        var text = MasterKey.makeText() + "\n"
        let wrote = text.withUTF8 { write(descriptor, $0.baseAddress, $0.count) }
        let isSynced = wrote == text.utf8.count && fsync(descriptor) == 0
        close(descriptor)
        defer { unlink(temporary) }
        guard isSynced else { throw Failure(description: "\(temporary): write: errno \(errno)") }
        // link(2) never replaces a key that is in use.
        guard link(temporary, path) == 0 || errno == EEXIST else {
            throw Failure(description: "\(path): link: errno \(errno)")
        }
        let parent = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        let directory = open(parent.isEmpty ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw Failure(description: "\(parent): open: errno \(errno)") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw Failure(description: "\(parent): fsync: errno \(errno)") }
    }
}
