import Glibc

/// Files that hold secrets are their owner's alone.
enum SecretsCheck {
    static let name = "secrets"

    struct File: Sendable, Equatable {
        var path: String
        var mode: UInt32
        /// What is secret in it: names of settings, or a word.
        var secrets: [String]
    }

    static func finding(_ file: File) -> Finding? {
        guard !file.secrets.isEmpty else { return nil }
        let what = file.secrets.joined(separator: ", ")
        guard file.mode & 0o077 != 0 else { return .good(name, "\(file.path) is its owner's alone (\(what))") }
        return .warning(
            name, "\(file.path) may be read by others (mode \(DataDirectoryCheck.octal(file.mode))), and holds \(what)",
            "chmod 600 \(file.path); change what is in it if others could log in here")
    }

    /// Nil when the file is not there.
    static func mode(_ path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt32(status.st_mode & 0o7777) : nil
    }
}
