import Foundation
import Glibc

/// Whether the user and the sandbox of the service let it read the files of the settings and write to its directories. The doctor itself may
/// run as root, for whom everything works.
enum AccessCheck {
    static let name = "access"

    /// Whom the service runs as.
    struct User: Sendable, Equatable {
        var name: String
        var id: UInt32
        var groups: Set<UInt32>
    }

    /// One file or directory, and every directory above it.
    struct Place: Sendable, Equatable {
        struct Part: Sendable, Equatable {
            var path: String
            var mode: UInt32
            var owner: UInt32
            var group: UInt32
        }

        /// As the settings have it.
        var path: String
        /// From the root down to the place itself, links followed; empty when it is not there.
        var parts: [Part]
    }

    /// What a service may see and write (systemd.exec(5)).
    struct Sandbox: Sendable, Equatable {
        var hidesHome = false
        var hasOwnTemporary = false
        /// Only `writable` may be written.
        var isStrict = false
        var writable: [String] = []

        init(_ properties: [String: String], dataDirectory: String) {
            hidesHome = !["no", "", nil].contains(properties["ProtectHome"])
            hasOwnTemporary = !["no", "", nil].contains(properties["PrivateTmp"])
            isStrict = properties["ProtectSystem"] == "strict"
            writable = [dataDirectory]
            for path in properties["ReadWritePaths"]?.split(separator: " ") ?? [] {
                writable.append(String(path.drop { $0 == "-" || $0 == "+" }))
            }
        }

        /// Why nothing of `path` is seen; nil when it is.
        func cover(_ path: String) -> String? {
            if hidesHome, Self.contains(["/home", "/root", "/run/user"], path) { return "ProtectHome=" }
            return hasOwnTemporary && Self.contains(["/tmp", "/var/tmp"], path) ? "PrivateTmp=" : nil
        }

        func mayWrite(_ path: String) -> Bool { !isStrict || Self.contains(writable, path) }

        static func contains(_ directories: [String], _ path: String) -> Bool {
            directories.contains { path == $0 || path.hasPrefix($0 == "/" ? $0 : $0 + "/") }
        }
    }

    // MARK: Verdicts

    /// Nil when there is nothing to say.
    static func reading(_ place: Place, _ user: User, _ sandbox: Sandbox, unit: String) -> Finding? {
        if let setting = sandbox.cover(place.path) {
            return .failure(
                name, "\(unit) does not see \(place.path) (\(setting) of the unit)",
                "move it to /etc/cairn, and change the setting")
        }
        guard let own = place.parts.last, let blocked = blocked(place, user, wants: 4) else { return nil }
        if blocked == own {
            return .failure(
                name,
                "\(place.path) cannot be read by \(user.name) (mode \(DataDirectoryCheck.octal(own.mode)), owner \(own.owner))",
                "chown \(user.name): \(place.path) for a key, chmod 644 \(place.path) for a certificate")
        }
        return closed(place, blocked, user)
    }

    /// Nil when there is nothing to say.
    static func writing(_ place: Place, setting: String, _ user: User, _ sandbox: Sandbox, unit: String) -> Finding? {
        if let cover = sandbox.cover(place.path) {
            return .failure(
                name, "\(unit) does not see \(setting) \(place.path) (\(cover) of the unit)",
                "choose a directory below the data directory, or another place that the unit may write to")
        }
        guard sandbox.mayWrite(place.path) else {
            return .failure(
                name, "\(unit) may not write to \(setting) \(place.path) (ProtectSystem=strict)",
                "systemctl edit \(unit): [Service] ReadWritePaths=\(place.path)")
        }
        guard let own = place.parts.last, let blocked = blocked(place, user, wants: 3) else { return nil }
        guard blocked == own else { return closed(place, blocked, user) }
        return .failure(
            name,
            "\(setting) \(place.path) cannot be written by \(user.name) (mode \(DataDirectoryCheck.octal(own.mode)), owner \(own.owner))",
            "chown -R \(user.name): \(place.path)/")
    }

    private static func closed(_ place: Place, _ part: Place.Part, _ user: User) -> Finding {
        .failure(
            name,
            "\(place.path) is out of reach for \(user.name): \(part.path) has mode \(DataDirectoryCheck.octal(part.mode))",
            "chmod o+x \(part.path), or move the file to /etc/cairn")
    }

    /// The part that stops `user`. Directories above need to be passed (1), the place itself what is wanted: 4 to read, 2 to write, 1 to pass.
    private static func blocked(_ place: Place, _ user: User, wants: UInt32) -> Place.Part? {
        for (index, part) in place.parts.enumerated() {
            let needed = index == place.parts.count - 1 ? wants : 1
            let shift: UInt32 = part.owner == user.id ? 6 : user.groups.contains(part.group) ? 3 : 0
            if user.id != 0, (part.mode >> shift) & needed != needed { return part }
        }
        return nil
    }

    /// Of a state directory: systemd gives all of it to the user when it starts the service, but only where the directory itself has
    /// another owner. A command that root ran in it leaves files that the service cannot open.
    static func strangers(_ count: Int, first: String, in directory: String, _ user: User, unit: String) -> Finding {
        guard count > 0 else {
            return .good(name, "\(user.name) owns \(directory) and may read what the settings name")
        }
        return .failure(
            name, "\(count) files in \(directory) are not \(user.name)'s, the first is \(first)",
            "systemctl stop \(unit); chown -R \(user.name): \(directory)/; then start it again")
    }

    // MARK: Looking

    /// Nil when this machine has no such user.
    static func user(_ name: String, supplementary: [String]) -> User? {
        guard let entry = getpwnam(name) else { return nil }
        var groups: Set<UInt32> = [entry.pointee.pw_gid]
        let id = entry.pointee.pw_uid
        for group in supplementary { if let found = getgrnam(group) { groups.insert(found.pointee.gr_gid) } }
        return User(name: name, id: id, groups: groups)
    }

    static func place(_ path: String) -> Place {
        let real = URL(filePath: path).resolvingSymlinksInPath().path(percentEncoded: false)
        var parts: [Place.Part] = []
        var prefix = ""
        for component in ["/"] + real.split(separator: "/").map(String.init) {
            prefix = component == "/" ? "/" : prefix == "/" ? "/" + component : prefix + "/" + component
            var status = stat()
            guard stat(prefix, &status) == 0 else { return Place(path: path, parts: []) }
            parts.append(
                Place.Part(
                    path: prefix, mode: UInt32(status.st_mode & 0o7777), owner: status.st_uid, group: status.st_gid))
        }
        return Place(path: path, parts: parts)
    }

    /// Files below `directory` of others than `user`, of the first 100,000; none where the directory itself is another's.
    static func strangers(in directory: String, _ user: User) -> (count: Int, first: String) {
        let real = URL(filePath: directory).resolvingSymlinksInPath().path(percentEncoded: false)
        var status = stat()
        guard stat(real, &status) == 0, status.st_uid == user.id,
            let names = FileManager.default.enumerator(atPath: real)
        else { return (0, "") }
        var (count, first) = (0, "")
        for name in names.prefix(100_000) where lstat("\(real)/\(name)", &status) == 0 && status.st_uid != user.id {
            if count == 0 { first = "\(name)" }
            count += 1
        }
        return (count, first)
    }
}
