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
            name, "\(directory) has files that are not \(user.name)'s: \(count), the first is \(first)",
            "systemctl stop \(unit); chown -R --reference=\(directory)/. \(directory)/; then start it again")
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

    /// The directory that systemd keeps for a service.
    struct Home: Sendable, Equatable {
        /// Links followed: that of a dynamic user lies below /var/lib/private, which only the service gets through.
        var path: String
        /// Who has it on the disk. Where systemd can, it shows nobody's files to the service as its own (an idmapped mount).
        var owner: UInt32

        /// Nil where it is not there yet.
        init?(_ path: String) {
            let real = AccessCheck.real(path)
            var status = stat()
            guard stat(real, &status) == 0 else { return nil }
            self.init(path: real, owner: status.st_uid)
        }

        init(path: String, owner: UInt32) {
            self.path = path
            self.owner = owner
        }

        /// Nil where another has it, and systemd gives it and all below to the service at its next start.
        func ownerOnDisk(of user: User) -> UInt32? { owner == user.id || owner == AccessCheck.nobody ? owner : nil }
    }

    static let nobody: UInt32 = 65_534

    /// - Parameter home: what is below it is looked at from there on, and with the eyes of the service.
    static func place(_ path: String, _ user: User, home: Home?) -> Place {
        let real = real(path)
        let isBelow = home.map { Sandbox.contains([$0.path], real) } ?? false
        var parts: [Place.Part] = []
        var prefix = ""
        for component in ["/"] + real.split(separator: "/").map(String.init) {
            prefix = component == "/" ? "/" : prefix == "/" ? "/" + component : prefix + "/" + component
            if let home, isBelow, !Sandbox.contains([home.path], prefix) { continue }
            var status = stat()
            guard stat(prefix, &status) == 0 else { return Place(path: path, parts: []) }
            let isOwn = isBelow && home?.ownerOnDisk(of: user) == status.st_uid
            parts.append(
                Place.Part(
                    path: prefix, mode: UInt32(status.st_mode & 0o7777), owner: isOwn ? user.id : status.st_uid,
                    group: status.st_gid))
        }
        return Place(path: path, parts: parts)
    }

    /// Files in `home` of others than the service, of the first 100,000; none where all of it is given to the service anyway.
    static func strangers(in home: Home?, _ user: User) -> (count: Int, first: String) {
        guard let home, let owner = home.ownerOnDisk(of: user),
            let names = FileManager.default.enumerator(atPath: home.path)
        else { return (0, "") }
        var status = stat()
        var (count, first) = (0, "")
        for name in names.prefix(100_000)
        where lstat("\(home.path)/\(name)", &status) == 0 && status.st_uid != owner {
            if count == 0 { first = "\(name)" }
            count += 1
        }
        return (count, first)
    }

    private static func real(_ path: String) -> String {
        URL(filePath: path).resolvingSymlinksInPath().path(percentEncoded: false)
    }
}
