import FoundationEssentials

/// Where the Debian package and its units have a role's settings and data.
struct PackagedRole: Sendable, Equatable {
    /// `edge` or `cloud`.
    var role: String

    var config: String { "/etc/cairn/\(role).yaml" }
    /// Settings as variables, for secrets.
    var environmentFile: String { "/etc/cairn/\(role).env" }
    var dataDirectory: String { "/var/lib/cairn-\(role)" }
    var unit: String { "cairn-\(role).service" }
    /// Of the running service; only root can look into it.
    var credentials: String { "/run/credentials/\(unit)" }

    /// The settings of `environmentFile`, which systemd gives to the service. Empty when it cannot be read.
    func environment() -> [String: String] {
        SmallText.read(environmentFile).map(Self.variables) ?? [:]
    }

    /// `NAME=value` lines of an EnvironmentFile= (systemd.exec(5)); comments, and quotes around a value, are left out.
    static func variables(_ text: String) -> [String: String] {
        var found: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let line = line.drop { $0 == " " || $0 == "\t" }
            guard let first = line.first, first != "#", first != ";", let equal = line.firstIndex(of: "=") else {
                continue
            }
            var value = line[line.index(after: equal)...]
            while value.last == " " || value.last == "\t" { value.removeLast() }
            if value.count >= 2, let quote = value.first, quote == "\"" || quote == "'", value.last == quote {
                value = value.dropFirst().dropLast()
            }
            found[String(line[..<equal])] = String(value)
        }
        return found
    }
}
