import FoundationEssentials
import Synchronization

/// An upload in parts that has begun and is not known to be complete.
public struct MultipartEntry: Sendable, Equatable, Codable {
    public struct Part: Sendable, Equatable, Codable {
        /// From 1.
        public var number: Int
        public var etag: String
        /// Of the part's bytes: a later attempt leaves out only what it would send again byte for byte.
        public var crc32c: UInt32
    }

    public var key: String
    public var uploadID: String
    public var partBytes: Int
    public var sizeBytes: Int
    public var parts: [Part]
}

/// Remembers uploads in parts over failures and restarts. Losing it costs sending parts again, nothing else.
public protocol MultipartJournal: Sendable {
    /// All that is remembered; a few at most.
    var entries: [MultipartEntry] { get }
    /// In place of what was there for its key. Best effort.
    func save(_ entry: MultipartEntry)
    func remove(_ key: String)
}

extension MultipartJournal {
    func entry(_ key: String) -> MultipartEntry? { entries.first { $0.key == key } }
}

/// A ``MultipartJournal`` in one small JSON file, replaced as a whole with each part (5 MiB or more) that is done.
///
/// Not synced: after a power cut it is the new file, the old one, or one that cannot be read and counts as none.
public final class MultipartJournalFile: MultipartJournal {
    private struct Document: Codable {
        var version = 1
        var uploads: [MultipartEntry]
    }

    /// One for each lane is all that can be under way; older ones are forgotten, and swept up by the next start.
    public static let entriesMax = 64

    private let path: String
    private let state: Mutex<[MultipartEntry]>

    public init(path: String) {
        self.path = path
        let data = try? Data(contentsOf: URL(filePath: path))
        let document = data.flatMap { try? JSONDecoder().decode(Document.self, from: $0) }
        state = Mutex(document?.version == 1 ? document?.uploads ?? [] : [])
    }

    public var entries: [MultipartEntry] { state.withLock { $0 } }

    public func save(_ entry: MultipartEntry) {
        change { entries in
            entries.removeAll { $0.key == entry.key }
            entries.append(entry)
            if entries.count > Self.entriesMax { entries.removeFirst() }
        }
    }

    public func remove(_ key: String) {
        guard entry(key) != nil else { return }
        change { entries in entries.removeAll { $0.key == key } }
    }

    private func change(_ body: (inout [MultipartEntry]) -> Void) {
        state.withLock { entries in
            body(&entries)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            guard let data = try? encoder.encode(Document(uploads: entries)) else { return }
            try? data.write(to: URL(filePath: path), options: .atomic)
        }
    }
}
