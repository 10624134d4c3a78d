import FoundationEssentials
import ObjectStore
import Sealing

/// Encryption at rest: off unless a key file is named.
struct EncryptionSettings: Sendable {
    /// Nil: off.
    var keyFile: String?
    var objects: Bool

    init(_ reader: SettingsReader) {
        objects = reader.flag("encryption.objects")
        guard let text = reader.optionalText("encryption.key-file") else { return }
        do {
            let path = try Self.path(text)
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

    /// `credential:NAME` is what systemd put down for the service (LoadCredentialEncrypted= opens blobs sealed by the TPM).
    private static func path(_ text: String) throws(KeyFileError) -> String {
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
