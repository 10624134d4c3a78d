import ArgumentParser
import ObjectStore
import Sealing
import WriteAheadLog

/// Which keys the objects of a store and the segments of a log need.
struct KeyUsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage",
        abstract: "Counts the objects of a store, and the segments of a log, by the key they need.",
        discussion: """
            Lists the whole store and reads 128 bytes of each object, 32 at a time: one request for each object. Of the log below \
            data-dir (or wal.dir) every directory counts, whether or not its lane is configured.
            """)

    @Argument(help: "The key file.") var file: String
    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let ring = try KeyCommand.load(file)
        let (usage, log) = try await KeyUsage.count(options)
        for key in ring.keys { print("\(usage.byKey[key.id] ?? 0) objects: \(key.id)") }
        let missing = usage.byKey.filter { ring.secret($0.key) == nil }.sorted { $0.key < $1.key }
        for (id, count) in missing { print("\(count) objects: \(id), which is NOT in \(file)") }
        print("\(usage.plain) objects: not sealed")
        if usage.damaged > 0 { print("\(usage.damaged) objects: a damaged header") }
        guard let log else { return FileHandleLine.write("no data-dir is named: no log was looked at\n") }
        show(log, ring)
    }

    private func show(_ log: LogKeyUsage, _ ring: KeyRing) {
        for key in ring.keys { print("\(log.needs.byKey[key.id] ?? 0) segments: \(key.id)") }
        let missing = log.needs.byKey.filter { ring.secret($0.key) == nil }.sorted { $0.key < $1.key }
        for (id, count) in missing { print("\(count) segments: \(id), which is NOT in \(file)") }
        print("\(log.needs.plain) segments: not sealed")
        if log.needs.unknown > 0 { print("\(log.needs.unknown) segments: not readable") }
    }
}

struct DropKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Takes a key out of a file, if no object of the store and no log needs it.",
        discussion: """
            What is sealed with a key that nobody has is lost. Name the store and the log (--config, or --store-url, --data-dir and \
            so on) to have every object and segment looked at first, or say --unchecked.
            """)

    @Argument(help: "The key file.") var file: String
    @Argument(help: "The key's name.") var id: String
    @Flag(help: "Do not look what needs it.") var unchecked = false
    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let ring = try KeyCommand.load(file)
        guard ring.secret(id) != nil else { throw Complaint.say("\(file): no key is named \(id)", Complaint.usage) }
        guard ring.first.id != id else {
            throw Complaint.say("\(id) is the key that seals: 'cairn key rotate \(file)' first", Complaint.usage)
        }
        if !unchecked {
            let (usage, log) = try await KeyUsage.count(options)
            let count = usage.byKey[id] ?? 0
            guard count == 0 else { throw Complaint.say("\(id): \(count) objects are sealed with it; it stays") }
            guard let log else {
                throw Complaint.say(
                    "\(id): no data-dir is named, so what the log needs is not known; it stays", Complaint.usage)
            }
            let segments = log.needs.byKey[id] ?? 0
            guard segments == 0 else {
                throw Complaint.say("\(id): \(segments) segments of the log are sealed with it; it stays")
            }
        }
        try KeyCommand.replace(file, ring.keys.filter { $0.id != id })
        print("\(file): key \(id) is gone")
    }
}

/// A count over all objects of a store.
struct KeyUsage: Sendable {
    /// What one object needs.
    enum Need: Sendable {
        case plain, damaged, gone
        case key(String)
    }

    private(set) var byKey: [String: Int] = [:]
    private(set) var plain = 0
    private(set) var damaged = 0
    private static let readsMax = 32

    mutating func add(_ need: Need) {
        switch need {
        case .plain: plain += 1
        case .damaged: damaged += 1
        case .gone: break
        case .key(let id): byKey[id, default: 0] += 1
        }
    }

    /// Reads the settings of a gateway or a cloud node and looks at every object of its store and every segment of its log, which is
    /// nil when no data directory is named.
    static func count(_ options: SettingsOptions) async throws -> (objects: KeyUsage, log: LogKeyUsage?) {
        var keys: [String: SettingKey] = [:]
        for key in EdgeKeys.all(lanes: await options.lanes()) + CloudKeys.all { keys[key.name] = key }
        let reader = try await options.reader(Array(keys.values))
        let settings = StoreSettings(reader, required: true)
        try SettingsOptions.finish(reader)
        guard let settings else { throw Complaint.badConfiguration }
        let log = try LogKeyUsage.count(reader)
        do {
            let store = try OpenedStore(settings)
            let result = await Result { try await count(store) }
            await store.close()
            return (try result.get(), log)
        } catch {
            throw Complaint.say("\(error)", Complaint.unavailable)
        }
    }

    static func count(_ store: any ObjectStore) async throws -> KeyUsage {
        var usage = KeyUsage()
        var after: String?
        repeat {
            let page = try await store.list(prefix: "", startAfter: after, limit: 1000)
            try await withThrowingTaskGroup(of: Need.self) { group in
                for (index, object) in page.objects.enumerated() {
                    if index >= readsMax, let need = try await group.next() { usage.add(need) }
                    group.addTask { try await need(of: object, in: store) }
                }
                for try await need in group { usage.add(need) }
            }
            after = page.next
        } while after != nil
        return usage
    }

    private static func need(of object: ListedObject, in store: any ObjectStore) async throws -> Need {
        guard object.sizeBytes >= SealedHeader.sizeBytes else { return .plain }
        do throws(ObjectStoreError) {
            let start = try await store.get(object.key, range: 0..<SealedHeader.sizeBytes)
            guard SealedHeader.isSealed(start: start) == true else { return .plain }
            guard let header = try? SealedHeader.decode(start) else { return .damaged }
            return .key(header.keyID)
        } catch {
            // Deleted since the listing.
            if error.kind == .notFound { return .gone }
            throw error
        }
    }
}

extension Result where Failure == any Error, Success: Sendable {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
