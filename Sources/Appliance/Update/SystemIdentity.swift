import FoundationEssentials

/// Which image runs, in which slot, and since which start of the machine.
struct SystemIdentity: Codable, Sendable, Equatable {
    /// `VERSION=` and `BUILD=` of `/etc/cairn-image`; nil where there is no image.
    var version: String?
    var build: String?
    /// `rauc.slot=` of the kernel's command line.
    var slot: String?
    /// The kernel's name of this start; nil where it cannot be read.
    var boot: String?

    /// Whether this is what an order calls `version`.
    func isNamed(_ name: String) -> Bool { name == version || name == build }

    /// The same image in the same slot, whichever start.
    func isSameSystem(as other: SystemIdentity) -> Bool {
        version == other.version && build == other.build && slot == other.slot
    }

    /// - Parameter root: before `/etc` and `/proc`; empty save in tests.
    static func read(root: String = "") -> SystemIdentity {
        let image = fields(text(root + "/etc/cairn-image"), by: \.isNewline)
        let words = fields(text(root + "/proc/cmdline"), by: \.isWhitespace)
        let boot = text(root + "/proc/sys/kernel/random/boot_id")?.filter { !$0.isWhitespace }
        return SystemIdentity(
            version: image["VERSION"], build: image["BUILD"], slot: words["rauc.slot"],
            boot: boot?.isEmpty == false ? boot : nil)
    }

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0.prefix(64 << 10), as: UTF8.self) }
    }

    /// `KEY=value`, the value also in double quotes.
    private static func fields(_ text: String?, by isEnd: (Character) -> Bool) -> [String: String] {
        var fields: [String: String] = [:]
        for line in (text ?? "").split(whereSeparator: isEnd) {
            let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, !parts[0].hasPrefix("#") else { continue }
            var value = parts[1]
            if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") {
                value = String(value.dropFirst().dropLast())
            }
            if !value.isEmpty { fields[parts[0]] = String(value.prefix(64)) }
        }
        return fields
    }
}
