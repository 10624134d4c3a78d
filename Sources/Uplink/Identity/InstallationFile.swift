import Glibc
import SiteAuthority
public import WriteAheadLog

/// `<data-dir>/installation`: the ``Installation`` on the disk, written anew at each start and each change, atomically. Kept twice
/// (`installation.copy`): with it the names of earlier eras are lost, and open plans of theirs.
public struct InstallationFile: Sendable {
    public let path: String
    private var copyPath: String { path + ".copy" }

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
        let found = read()
        if case .broken = found { _ = rename(path, path + ".broken") }
        let (installation, doubt) = Installation.started(
            from: found, root: root, machine: machine, lanes: lanes, incarnation: Installation.makeIncarnation())
        do {
            try write(installation)
            return Opened(installation: installation, doubt: doubt, failure: nil)
        } catch {
            return Opened(installation: installation, doubt: doubt, failure: error.description)
        }
    }

    private func read() -> Installation.Found {
        do throws(Failure) {
            return Installation.Found(text: try text(path), copy: (try? text(copyPath)) ?? nil)
        } catch {
            if let copy = try? text(copyPath), let found = Installation(text: copy) { return .found(found) }
            return .broken(error.description)
        }
    }

    /// Nil when there is no such file.
    private func text(_ path: String) throws(Failure) -> String? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw Failure(description: "open: errno \(errno)")
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count >= 0 else { throw Failure(description: "read: errno \(errno)") }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    /// Durable when it returns.
    public func write(_ installation: Installation) throws(Failure) {
        do throws(DiskError) {
            try replaceSynced(path, with: installation.text)
            try replaceSynced(copyPath, with: installation.text)
        } catch {
            throw Failure(description: error.description)
        }
    }
}

extension Installation {
    /// 32 hexadecimal digits that nobody else has.
    public static func makeIncarnation() -> String {
        MessageCode.hexadecimal(MessageCode.random(bytes: 16))
    }
}
