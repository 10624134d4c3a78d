import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What pacing must know again after a restart.
public struct PacerState: Sendable, Equatable, Codable {
    public var version = 1
    public var isPaused: Bool
    public var budget: DataBudget.Count

    public init(isPaused: Bool = false, budget: DataBudget.Count = DataBudget.Count()) {
        self.isPaused = isPaused
        self.budget = budget
    }
}

/// Where a ``PacerState`` is kept. `PacerStateFile` in production, a box in tests.
public protocol PacerStateStore: Sendable {
    /// Nil when there is none, or none that can be read.
    func load() -> PacerState?
    /// Durable when it returns.
    func save(_ state: PacerState) throws
}

/// One small JSON file, replaced as a whole: written beside itself, synced, renamed, its directory synced.
///
/// A file that cannot be read is put aside as `<name>.damaged` and counts as none: a start never refuses.
public struct PacerStateFile: PacerStateStore {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let directory: String
    private let path: String

    public init(directory: String, name: String = "uplink.json") {
        self.directory = directory
        path = directory + "/" + name
    }

    public func load() -> PacerState? {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return nil }
        if let state = try? JSONDecoder().decode(PacerState.self, from: data), state.version == 1 { return state }
        _ = rename(path, path + ".damaged")
        return nil
    }

    public func save(_ state: PacerState) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let bytes = [UInt8](try encoder.encode(state)) + [UInt8(ascii: "\n")]
        let temporary = path + ".new"
        try write(bytes, to: temporary)
        guard rename(temporary, path) == 0 else { throw failure("rename \(temporary)") }
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open \(directory)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("sync \(directory)") }
    }

    private func write(_ bytes: [UInt8], to file: String) throws {
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create \(file)") }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + written, bytes.count - written)
            }
            guard count > 0 || errno == EINTR else { throw failure("write \(file)") }
            written += max(0, count)
        }
        guard fsync(descriptor) == 0 else { throw failure("sync \(file)") }
    }

    private func failure(_ what: String) -> Failure {
        Failure(description: "\(what): \(String(cString: strerror(errno)))")
    }
}
