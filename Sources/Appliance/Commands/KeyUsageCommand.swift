import ArgumentParser
import ObjectStore
import Sealing

/// Which keys the objects of a store need.
struct KeyUsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Counts the objects of a store by the key they are sealed with.",
        discussion:
            "Lists the whole store and reads 128 bytes of each object, 32 at a time: one request for each object.")

    @Argument(help: "The key file.") var file: String
    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let ring = try KeyCommand.load(file)
        let usage = try await KeyUsage.count(options)
        for key in ring.keys { print("\(usage.byKey[key.id] ?? 0) objects: \(key.id)") }
        let missing = usage.byKey.filter { ring.secret($0.key) == nil }.sorted { $0.key < $1.key }
        for (id, count) in missing { print("\(count) objects: \(id), which is NOT in \(file)") }
        print("\(usage.plain) objects: not sealed")
        if usage.damaged > 0 { print("\(usage.damaged) objects: a damaged header") }
    }
}

struct DropKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Takes a key out of a file, if no object of the store needs it.",
        discussion: """
            What is sealed with a key that nobody has is lost. Name the store (--config, or --store-url and so on) to have every \
            object looked at first, or say --unchecked.
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
            let count = try await KeyUsage.count(options).byKey[id] ?? 0
            guard count == 0 else { throw Complaint.say("\(id): \(count) objects are sealed with it; it stays") }
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

    /// Reads the store's settings of a gateway or a cloud node and looks at every object there.
    static func count(_ options: SettingsOptions) async throws -> KeyUsage {
        var keys: [String: SettingKey] = [:]
        for key in EdgeKeys.all + CloudKeys.all { keys[key.name] = key }
        let reader = try await options.reader(Array(keys.values))
        let settings = StoreSettings(reader, required: true)
        try SettingsOptions.finish(reader)
        guard let settings else { throw Complaint.badConfiguration }
        do {
            let store = try OpenedStore(settings)
            let result = await Result { try await count(store) }
            await store.close()
            return try result.get()
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
