import ArgumentParser
import Sealing

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "Makes and changes the key files of encryption at rest.",
        discussion: """
            A key file has a line for each key. The first key seals, all of them open. Running processes see a change within seconds.
            """,
        subcommands: [
            NewKeyCommand.self, ListKeysCommand.self, RotateKeyCommand.self, AddKeysCommand.self, DropKeyCommand.self,
            KeyUsageCommand.self,
        ])

    static func load(_ path: String) throws -> KeyRing {
        do { return try KeyFile.load(path) } catch { throw Complaint.say("\(error)", Complaint.unavailable) }
    }

    static func replace(_ path: String, _ keys: [KeyRing.Key]) throws {
        guard let ring = KeyRing(keys) else {
            throw Complaint.say("\(path): two keys of the same name, or more than \(KeyRing.keysMax)")
        }
        do { try KeyFile.replace(path, ring) } catch { throw Complaint.say("\(error)", Complaint.unavailable) }
    }

    /// A new key that is named `id`, or by its fingerprint.
    static func make(id: String?) throws -> KeyRing.Key {
        guard let key = KeyRing.Key.random(id: id) else {
            throw Complaint.say("--id: 1 to \(KeyRing.idBytesMax) of A-Z a-z 0-9 . _ -", Complaint.usage)
        }
        return key
    }
}

struct NewKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Makes a key file with one new key, or prints a new line for one.")

    @Argument(help: "The file to make. None: the line goes to standard output.") var file: String?
    @Option(help: "The key's name; give each site its own. None: 16 digits of the key's fingerprint.") var id: String?

    func run() async throws {
        let key = try KeyCommand.make(id: id)
        guard let file else { return print(KeyFile.line(key)) }
        guard let ring = KeyRing([key]) else { return }
        do { try KeyFile.create(file, ring) } catch { throw Complaint.say("\(error)", Complaint.unavailable) }
        print("\(file): key \(key.id)")
    }
}

struct ListKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Shows the names and fingerprints of the keys, never the keys.")

    @Argument(help: "The key file.") var file: String

    func run() async throws {
        let ring = try KeyCommand.load(file)
        let width = ring.keys.map { $0.id.count }.max() ?? 0
        for (index, key) in ring.keys.enumerated() {
            let name = key.id + String(repeating: " ", count: width - key.id.count)
            print("\(name)  fingerprint \(key.secret.fingerprint)  \(index == 0 ? "seals and opens" : "opens")")
        }
    }
}

struct RotateKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Puts a new key first; what was sealed with the others still opens.",
        discussion: """
            Give the new key to the cloud nodes first (key rotate, then key add there), or they set the site's objects aside until \
            they have it.
            """)

    @Argument(help: "The key file.") var file: String
    @Option(help: "The new key's name. None: 16 digits of its fingerprint.") var id: String?

    func run() async throws {
        let ring = try KeyCommand.load(file)
        let key = try KeyCommand.make(id: id)
        try KeyCommand.replace(file, [key] + ring.keys)
        print("\(file): key \(key.id) seals from now on, \(ring.keys.count) older open")
    }
}

struct AddKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Adds the keys of other files, after those that are there: for a cloud node.")

    @Argument(help: "The key file to change.") var file: String
    @Argument(help: "Files whose keys it shall have too.") var others: [String]

    func run() async throws {
        var keys = try KeyCommand.load(file).keys
        let countBefore = keys.count
        for other in others {
            for key in try KeyCommand.load(other).keys {
                if let there = keys.first(where: { $0.id == key.id }) {
                    guard there.secret.isSame(as: key.secret) else {
                        throw Complaint.say(
                            "\(other): another key than in \(file) is named \(key.id); nothing is changed")
                    }
                    continue
                }
                keys.append(key)
            }
        }
        try KeyCommand.replace(file, keys)
        print("\(file): \(keys.count - countBefore) keys added, \(keys.count) in all")
    }
}
