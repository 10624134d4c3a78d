import FoundationEssentials
import WriteAheadLog

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

    private let path: String

    public init(directory: String, name: String = "uplink.json") {
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
        let text = String(decoding: try encoder.encode(state), as: UTF8.self) + "\n"
        do throws(DiskError) {
            try replaceSynced(path, with: text, mode: 0o600)
        } catch {
            throw Failure(description: error.description)
        }
    }
}
