/// The names of objects in the store, and the way back from a name to its parts.
///
/// - Site objects: `sites/<site>/<incarnation>/<lane>/<sequence, 20 digits>`. Cloud objects:
///   `data/<node>/<epoch, 20 digits>/<sequence, 20 digits>`. Decimal digits are zero-padded, so byte order is number order.
/// - Names of sites, lanes and nodes are 1 to 64 of `A-Z a-z 0-9 . _ -`, but not `.` or `..`, which a directory store
///   would take for a way out. An incarnation is 32 lower-case hexadecimal digits.
public enum ObjectKeys {
    /// All site objects, for a reconciling LIST.
    public static let sitesPrefix = "sites/"
    /// All cloud objects.
    public static let dataPrefix = "data/"

    /// The key of a site object. Names are taken as they are: check them with ``isName(_:)`` where they come in.
    public static func site(site: String, incarnation: String, lane: String, sequence: UInt64) -> String {
        lanePrefix(site: site, incarnation: incarnation, lane: lane) + digits(sequence)
    }

    /// The key of a cloud object.
    public static func cloud(node: String, epoch: UInt64, sequence: UInt64) -> String {
        "\(dataPrefix)\(node)/\(digits(epoch))/\(digits(sequence))"
    }

    /// What all keys of a site begin with, its incarnations included.
    public static func sitePrefix(site: String) -> String { "\(sitesPrefix)\(site)/" }

    /// What all keys of one lane begin with. LIST it after the last adopted key to find what was never announced.
    public static func lanePrefix(site: String, incarnation: String, lane: String) -> String {
        "\(sitesPrefix)\(site)/\(incarnation)/\(lane)/"
    }

    /// Whether `text` may name a site, a lane or a node.
    public static func isName(_ text: some StringProtocol) -> Bool {
        text.utf8.count <= 64 && isNameCharacters(text)
    }

    /// At least one character, only letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
    static func isNameCharacters(_ text: some StringProtocol) -> Bool {
        guard !text.isEmpty, text != ".", text != ".." else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    /// Whether `text` is 32 lower-case hexadecimal digits.
    public static func isIncarnation(_ text: some StringProtocol) -> Bool {
        let bytes = text.utf8
        return bytes.count == 32
            && bytes.allSatisfy { (0x30...0x39).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    }

    /// `number` as 20 decimal digits, which is what the largest `UInt64` has.
    static func digits(_ number: UInt64) -> String {
        let plain = String(number)
        return String(repeating: "0", count: 20 - plain.utf8.count) + plain
    }

    /// The number behind exactly 20 decimal digits, or nil.
    static func number(_ text: some StringProtocol) -> UInt64? {
        guard text.utf8.count == 20, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(text)
    }

    /// The parts of a key between slashes, empty ones included, or nil if there are more than five.
    static func parts(_ key: String) -> [Substring]? {
        guard key.utf8.count <= 512 else { return nil }
        let parts = key.split(separator: "/", maxSplits: 5, omittingEmptySubsequences: false)
        return parts.count <= 5 ? parts : nil
    }
}

/// The checked parts of a site object's key.
public struct SiteObjectKey: Sendable, Hashable {
    public let site: String
    public let incarnation: String
    public let lane: String
    public let sequence: UInt64

    /// Nil if one of the names is not allowed.
    public init?(site: String, incarnation: String, lane: String, sequence: UInt64) {
        guard ObjectKeys.isName(site), ObjectKeys.isIncarnation(incarnation), ObjectKeys.isName(lane) else {
            return nil
        }
        self.site = site
        self.incarnation = incarnation
        self.lane = lane
        self.sequence = sequence
    }

    /// Nil if `key` is not exactly what ``ObjectKeys/site(site:incarnation:lane:sequence:)`` makes of allowed names.
    public init?(parsing key: String) {
        guard let parts = ObjectKeys.parts(key), parts.count == 5, parts[0] == "sites",
            let sequence = ObjectKeys.number(parts[4])
        else { return nil }
        self.init(
            site: String(parts[1]), incarnation: String(parts[2]), lane: String(parts[3]), sequence: sequence)
    }

    public var key: String {
        ObjectKeys.site(site: site, incarnation: incarnation, lane: lane, sequence: sequence)
    }
}

/// The checked parts of a cloud object's key.
public struct CloudObjectKey: Sendable, Hashable {
    public let nodeID: String
    public let epoch: UInt64
    public let sequence: UInt64

    /// Nil if the node's name is not allowed.
    public init?(nodeID: String, epoch: UInt64, sequence: UInt64) {
        guard ObjectKeys.isName(nodeID) else { return nil }
        self.nodeID = nodeID
        self.epoch = epoch
        self.sequence = sequence
    }

    /// Nil if `key` is not exactly what ``ObjectKeys/cloud(node:epoch:sequence:)`` makes of an allowed name.
    public init?(parsing key: String) {
        guard let parts = ObjectKeys.parts(key), parts.count == 4, parts[0] == "data",
            let epoch = ObjectKeys.number(parts[2]), let sequence = ObjectKeys.number(parts[3])
        else { return nil }
        self.init(nodeID: String(parts[1]), epoch: epoch, sequence: sequence)
    }

    public var key: String { ObjectKeys.cloud(node: nodeID, epoch: epoch, sequence: sequence) }
}
