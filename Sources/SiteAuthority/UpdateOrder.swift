/// Which bundle a gateway is to install: the value of the directive `update`, one line of words.
///
/// `serial=7 version=1.4.2 size=142606336 sha256=<64 digits> key=updates/<sha256>/cairn-1.4.2.raucb`
public struct UpdateOrder: Codable, Sendable, Hashable {
    /// Another one with each order: what failed is tried again only under a new serial.
    public var serial: UInt64
    /// What the image says of itself once it runs: `VERSION=` or `BUILD=` of `/etc/cairn-image`.
    public var version: String
    public var sizeBytes: Int
    /// 64 hexadecimal digits, small letters.
    public var sha256: String
    /// In the object store.
    public var key: String

    /// Where `cairn site update` puts bundles: `updates/<sha256>/<file name>`.
    public static let prefix = "updates/"
    public static let sizeBytesMax = 4 << 30

    public init(serial: UInt64, version: String, sizeBytes: Int, sha256: String, key: String) {
        self.serial = serial
        self.version = version
        self.sizeBytes = sizeBytes
        self.sha256 = sha256
        self.key = key
    }

    /// Nil when a word is missing, unknown, given twice or not of its form.
    public init?(_ text: String) {
        var words: [String: String] = [:]
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, words.updateValue(parts[1], forKey: parts[0]) == nil else { return nil }
        }
        guard words.count == 5, let serial = words["serial"].flatMap(UInt64.init), let version = words["version"],
            let sizeBytes = words["size"].flatMap(Int.init), let sha256 = words["sha256"], let key = words["key"]
        else { return nil }
        self.init(serial: serial, version: version, sizeBytes: sizeBytes, sha256: sha256, key: key)
        guard isSound else { return nil }
    }

    /// Whether it can be told, and obeyed.
    public var isSound: Bool {
        Self.isVersion(version) && (1...Self.sizeBytesMax).contains(sizeBytes) && Self.isKey(key)
            && sha256.utf8.count == 64 && sha256 == sha256.lowercased()
            && MessageCode.bytes(hexadecimal: sha256) != nil
    }

    public var text: String { "serial=\(serial) version=\(version) size=\(sizeBytes) sha256=\(sha256) key=\(key)" }

    /// What is asked for, apart from which order asks.
    public func isSame(as other: UpdateOrder) -> Bool {
        sha256 == other.sha256 && version == other.version && sizeBytes == other.sizeBytes && key == other.key
    }

    /// 1 to 64 of letters, digits and `.+_~:-`.
    public static func isVersion(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { isNameScalar($0) || "+~:".unicodeScalars.contains($0) }
    }

    /// A plain key, not `..` anywhere.
    public static func isKey(_ text: String) -> Bool {
        (1...512).contains(text.utf8.count)
            && text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty && part != "." && part != ".."
                    && part.unicodeScalars.allSatisfy { isNameScalar($0) || "+~".unicodeScalars.contains($0) }
            }
    }

    /// What a file is called in a key: what cannot stand there becomes a dash.
    public static func keyName(_ fileName: String) -> String {
        let name = String(
            fileName.unicodeScalars.prefix(128).map { scalar in
                isNameScalar(scalar) || "+~".unicodeScalars.contains(scalar) ? Character(scalar) : "-"
            })
        return isKey(name) ? name : "bundle"
    }

    private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-": true
        default: false
        }
    }
}

/// What a gateway says of its image and of the update that it was told: in its announcements and its status.
public struct UpdateReport: Codable, Sendable, Hashable {
    public enum State: String, Codable, Sendable, Hashable {
        /// Nothing was told.
        case none
        /// This installation cannot install images.
        case unsupported
        case paused
        case downloading
        /// All bytes are here, and they are the right ones.
        case verified
        case installing
        case awaitingReboot = "awaiting-reboot"
        /// The new image runs and is not yet known to be healthy.
        case trial
        case confirmed
        case failed
        /// The machine went back to the image it had before.
        case rolledBack = "rolled-back"
        /// A word of a newer gateway.
        case unknown

        public init(from decoder: any Decoder) throws {
            self = Self(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown
        }
    }

    public var state: State
    /// `VERSION=` and `BUILD=` of the image that runs; nil without one.
    public var version: String?
    public var build: String?
    /// Of the image that runs, such as `A`.
    public var slot: String?
    /// What was told.
    public var target: String?
    public var serial: UInt64?
    /// 0 to 100, while it is downloaded.
    public var percent: Int?
    /// Why it waits, or failed.
    public var reason: String?
    /// A URL is wanted to download from: this gateway has no store keys.
    public var wantsURL: Bool?

    public init(
        state: State, version: String? = nil, build: String? = nil, slot: String? = nil, target: String? = nil,
        serial: UInt64? = nil, percent: Int? = nil, reason: String? = nil, wantsURL: Bool? = nil
    ) {
        self.state = state
        self.version = version
        self.build = build
        self.slot = slot
        self.target = target
        self.serial = serial
        self.percent = percent
        self.reason = reason
        self.wantsURL = wantsURL
    }

    /// `1.4.2 (20261126), slot A; to 1.5: downloading 45%`.
    public var line: String {
        var text = version ?? "no image"
        if let build { text += " (\(build))" }
        if let slot { text += ", slot \(slot)" }
        guard state != .none else { return text }
        text += target.map { "; to \($0): " } ?? "; "
        text += state.rawValue + (percent.map { " \($0)%" } ?? "")
        return text + (reason.map { ": \($0)" } ?? "")
    }

    /// Of what somebody else sent: no field longer than it may be.
    public var bounded: UpdateReport {
        func cut(_ text: String?) -> String? { text.map { String($0.filter { $0 >= " " }.prefix(160)) } }
        var report = self
        (report.version, report.build, report.slot) = (cut(version), cut(build), cut(slot))
        (report.target, report.reason) = (cut(target), cut(reason))
        return report
    }
}
