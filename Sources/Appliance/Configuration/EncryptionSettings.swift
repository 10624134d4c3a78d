import FoundationEssentials
import ObjectStore
import Sealing
import WriteAheadLog

/// Encryption at rest: off unless a key file is named.
struct EncryptionSettings: Sendable {
    /// Nil: off.
    var keyFile: String?
    var objects: Bool
    var log: Bool

    init(_ reader: SettingsReader) {
        log = reader.flag("encryption.log")
        objects = reader.flag("encryption.objects")
        guard let text = reader.optionalText("encryption.key-file") else { return }
        do {
            let path = try KeyFile.path(setting: text)
            keyFile = path
            // Nothing may be written in plain text because a key was not there.
            _ = try KeyFile.load(path)
        } catch {
            reader.refuse("encryption.key-file", "\(error)")
        }
    }

    /// The keys, followed while the file changes; nil when encryption is off.
    func keys() throws(KeyFileError) -> LiveKeyRing? {
        guard let keyFile else { return nil }
        return try LiveKeyRing(path: keyFile)
    }

    func store(around store: any ObjectStore, _ keys: LiveKeyRing?) -> any ObjectStore {
        guard let keys else { return store }
        return SealedStore(store, keys: keys, seals: objects)
    }

    /// Of a write-ahead log; nil when encryption is off, and then a log with sealed segments is left alone.
    func sealing(_ keys: LiveKeyRing?) -> LogSealing? { keys.map { LogSealing($0, seals: log) } }
}

extension KeyFile {
    /// `credential:NAME` is what systemd put down for the service (LoadCredentialEncrypted= opens blobs sealed by the TPM).
    static func path(setting text: String) throws(KeyFileError) -> String {
        guard text.hasPrefix("credential:") else { return text }
        let name = text.dropFirst("credential:".count)
        guard !name.isEmpty, !name.contains("/") else {
            throw .refused("expected credential:NAME, got '\(text)'")
        }
        guard let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"], !directory.isEmpty else {
            throw .refused("'\(text)', and systemd gave this process no credentials (LoadCredential=)")
        }
        return directory + "/" + name
    }
}
