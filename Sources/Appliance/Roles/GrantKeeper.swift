import FoundationEssentials
import Logging
import ObjectStore
import SharedObject
import SiteAuthority
import Synchronization
import Uplink

/// Keeps the permissions of a gateway without store keys, in memory and in `<data-dir>/grants.json` (mode 0600), and says what
/// to ask for.
final class GrantKeeper: Sendable {
    private struct State {
        var book: GrantBook
        var age: [String: ContinuousClock.Instant] = [:]
        var replacing: [String: SiteObjectKey] = [:]
        /// Where the bundle of an update can be read.
        var update: (key: String, url: String)?
        /// A PUT waits for a permission.
        var isShort = false
    }

    let ahead: Int
    private let path: String
    private let logger: Logger
    private let state: Mutex<State>
    private let file = Mutex(())

    init(directory: String, ahead: Int, logger: Logger) {
        path = directory + "/grants.json"
        self.ahead = ahead
        self.logger = logger
        let data = try? Data(contentsOf: URL(filePath: path))
        // A broken file is worth nothing: others are asked for.
        state = Mutex(State(book: data.flatMap { try? JSONDecoder().decode(GrantBook.self, from: $0) } ?? GrantBook()))
    }

    var permissions: PresignedStore.Permissions {
        PresignedStore.Permissions(
            url: { use, key in self.url(use, key) }, wanted: { use, key, refused in self.wanted(use, key, refused) })
    }

    /// Whether somebody waits: then the next request must not wait for its time.
    func takeShortage() -> Bool {
        state.withLock { state in
            defer { state.isShort = false }
            return state.isShort
        }
    }

    private func url(_ use: PresignedUse, _ key: String) -> String? {
        guard let object = SiteObjectKey(parsing: key) else {
            return state.withLock { $0.update.flatMap { use == .read && $0.key == key ? $0.url : nil } }
        }
        return state.withLock { state in
            state.book.url(
                use == .read, use == .overwrite, incarnation: object.incarnation, lane: object.lane,
                sequence: object.sequence)
        }
    }

    private func wanted(_ use: PresignedUse, _ key: String, _ refused: String?) {
        guard let object = SiteObjectKey(parsing: key) else {
            return state.withLock { state in
                if refused != nil, state.update?.url == refused { state.update = nil }
                state.isShort = true
            }
        }
        state.withLock { state in
            if let refused { state.book.drop(refused: refused) }
            if use == .overwrite { state.replacing[object.lane] = object }
            state.isShort = true
        }
    }

    /// A URL for the bundle `key`. It is not kept over a restart; another one is asked for then.
    func permitUpdate(key: String, url: String) { state.withLock { $0.update = (key, url) } }

    func wantsUpdateURL(of key: String) -> Bool { state.withLock { $0.update?.key != key } }

    /// - Parameter next: by lane, the object that is put next.
    func wishes(_ next: [String: SiteObjectKey]) -> [String: PutWish] {
        state.withLock { state in
            var wishes: [String: PutWish] = [:]
            for (lane, object) in next {
                let stock = state.book.stock(
                    incarnation: object.incarnation, lane: lane, from: object.sequence)
                let torn = state.replacing[lane]
                let isOld = state.age[lane].map { $0 < .now } ?? true
                guard stock * 2 < ahead || isOld || torn != nil else { continue }
                wishes[lane] = PutWish(
                    incarnation: object.incarnation, from: object.sequence, count: ahead, replacing: torn?.sequence)
            }
            return wishes
        }
    }

    func received(_ grants: [PutGrant]) {
        let book = state.withLock { state in
            state.book.add(grants)
            for grant in grants {
                if grant.overwrites {
                    state.replacing[grant.lane] = nil
                } else {
                    state.age[grant.lane] = .now.advanced(by: .seconds(max(1, grant.seconds / 2)))
                }
            }
            return state.book
        }
        save(book)
    }

    /// Losing it costs a round trip only, so it is not synced.
    private func save(_ book: GrantBook) {
        file.withLock { _ in
            do {
                let temporary = path + ".tmp"
                _ = FileManager.default.createFile(
                    atPath: temporary, contents: nil, attributes: [.posixPermissions: 0o600])
                try JSONEncoder().encode(book).write(to: URL(filePath: temporary))
                guard systemRename(temporary, path) == 0 else { return }
            } catch {
                logger.warning("permissions to put cannot be kept over a restart", metadata: ["error": "\(error)"])
            }
        }
    }
}
