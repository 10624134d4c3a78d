import Glibc
public import WriteAheadLog

/// `<data-dir>/installation`: the ``Installation`` on the disk, written anew at each start and each change, atomically.
public struct InstallationFile: Sendable {
    public let path: String

    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public init(directory: String) { path = directory + "/installation" }

    /// What ``open(root:machine:lanes:)`` found.
    public struct Opened: Sendable {
        public var installation: Installation
        /// Why it goes on under a new incarnation.
        public var doubt: Installation.Doubt?
        /// Why the file could not be written. This start must then not claim a number: the next one would claim it too.
        public var failure: String?
    }

    /// One more start. Never refuses: a broken file is put aside and the installation goes on under a new incarnation.
    /// - Parameter root: what the file `incarnation` says.
    public func open(root: String, machine: String, lanes: [String: UploadState]) -> Opened {
        var installation = Installation(root: root, machine: machine)
        var doubt: Installation.Doubt?
        switch read() {
        case .absent: break
        case .found(let found): installation = found
        case .broken(let why):
            _ = rename(path, path + ".broken")
            doubt = .forgotten(why)
        }
        doubt = installation.start(root: root, machine: machine) ?? doubt
        if let doubt {
            // A new `incarnation` file is a new name already.
            installation.goOn(as: doubt == .otherRoot ? root : Installation.makeIncarnation(), lanes: lanes)
        }
        do {
            try write(installation)
            return Opened(installation: installation, doubt: doubt, failure: nil)
        } catch {
            return Opened(installation: installation, doubt: doubt, failure: error.description)
        }
    }

    private enum Found {
        case absent
        case found(Installation)
        case broken(String)
    }

    private func read() -> Found {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { return errno == ENOENT ? .absent : .broken("open: errno \(errno)") }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { return .broken("read: errno \(errno)") }
        let text = String(decoding: bytes.prefix(count), as: UTF8.self)
        return Installation(text: text).map { .found($0) } ?? .broken("\(count) bytes that are no installation")
    }

    /// Durable when it returns.
    public func write(_ installation: Installation) throws(Failure) {
        let temporary = path + ".tmp"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw Failure(description: "\(temporary): create: errno \(errno)") }
        var text = installation.text
        let wrote = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        let isSynced = wrote == text.utf8.count && fsync(descriptor) == 0
        let reason = errno
        close(descriptor)
        guard isSynced else { throw Failure(description: "\(temporary): write: errno \(reason)") }
        guard rename(temporary, path) == 0 else { throw Failure(description: "\(path): rename: errno \(errno)") }
        let parent = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        let directory = Glibc.open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw Failure(description: "\(parent): open: errno \(errno)") }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw Failure(description: "\(parent): fsync: errno \(errno)") }
    }
}

extension Installation {
    /// 32 hexadecimal digits that nobody else has.
    public static func makeIncarnation() -> String {
        (0..<2).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
