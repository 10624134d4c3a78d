import Glibc
import SiteAuthority
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
        do throws(DiskError) {
            try replaceSynced(path, with: installation.text)
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
