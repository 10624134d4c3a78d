import Foundation
import Glibc

/// The directory of the log or the ledger: is it there, whose is it, what file system, is there room for the quotas.
enum DataDirectoryCheck {
    struct Facts: Sendable, Equatable {
        var path: String
        var exists: Bool
        var isDirectory = false
        var mode: UInt32 = 0
        var isWritable = false
        /// Of the directory, or of the nearest one above it that exists.
        var fileSystem: FileSystem?
        /// The nearest directory above may be written, so that this one can be made.
        var canBeMade = false
    }

    struct FileSystem: Sendable, Equatable {
        /// As in /proc/mounts; empty when it is not known.
        var type: String
        var isReadOnly: Bool
        var freeBytes: Int
        var totalBytes: Int
        var freeFiles: Int
    }

    /// What the role may put there.
    struct Need: Sendable, Equatable {
        /// All quotas together; nil where there are none.
        var quotaBytes: Int?
        /// What it has there already.
        var usedBytes = 0
        /// Without so much it cannot go on.
        var leastBytes: Int
    }

    static let name = "data-dir"
    static let spaceName = "space"

    static func findings(_ facts: Facts, need: Need) -> [Finding] {
        [directory(facts)] + (facts.fileSystem.map { [kind($0, facts.path), space($0, need)].compactMap { $0 } } ?? [])
    }

    static func directory(_ facts: Facts) -> Finding {
        guard facts.exists else {
            return facts.canBeMade
                ? .good(name, "\(facts.path) is not there yet and will be made")
                : .failure(
                    name, "\(facts.path) is not there and cannot be made",
                    "make it and give it to the user that cairn runs as, or set data-dir to another place")
        }
        guard facts.isDirectory else {
            return .failure(name, "\(facts.path) is not a directory", "move it away, or set data-dir to another place")
        }
        if facts.fileSystem?.isReadOnly == true {
            return .failure(
                name, "\(facts.path) is on a file system that may only be read",
                "look with dmesg why (a failing disk is mounted so), and mount it for writing")
        }
        guard facts.isWritable else {
            return .failure(
                name, "\(facts.path) may not be written by this user",
                "run cairn doctor as the user that cairn runs as, or as root; or chown -R the directory to that user")
        }
        if facts.mode & 0o022 != 0 {
            return .warning(
                name, "\(facts.path) may be written by others (mode \(octal(facts.mode)))", "chmod 700 \(facts.path)")
        }
        return .good(name, "\(facts.path), mode \(octal(facts.mode))")
    }

    /// Nil when there is nothing to say.
    static func kind(_ system: FileSystem, _ path: String) -> Finding? {
        switch system.type {
        case "tmpfs", "ramfs":
            .failure(
                name, "\(path) is in memory (\(system.type)): nothing survives a restart", "put data-dir on a disk")
        case "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs":
            .warning(
                name, "\(path) is on a network file system (\(system.type)), whose promise of durability is not known",
                "put data-dir on a disk of this machine")
        case "overlay":
            .warning(
                name, "\(path) is on an overlay, which is often memory or goes with a container",
                "put data-dir on a volume or a disk")
        default: nil
        }
    }

    static func space(_ system: FileSystem, _ need: Need) -> Finding {
        let free = LiveScreen.bytes(system.freeBytes)
        if system.freeBytes < need.leastBytes {
            return .failure(
                spaceName,
                "the disk is full: \(free) free, and \(LiveScreen.bytes(need.leastBytes)) are needed to go on",
                "free some, or move data-dir to a larger disk")
        }
        if system.freeFiles < 1_000 {
            return .warning(
                spaceName, "only \(system.freeFiles) more files can be made on the disk",
                "remove files, or make a file system with more inodes")
        }
        guard let quota = need.quotaBytes else { return .good(spaceName, "\(free) free") }
        let room = system.freeBytes + need.usedBytes
        guard quota <= room else {
            return .warning(
                spaceName,
                "the quotas add up to \(LiveScreen.bytes(quota)), and there is room for \(LiveScreen.bytes(room)): "
                    + "in a long outage the disk is full before any lane is",
                "lower lanes.NAME.quota, or give data-dir a larger disk")
        }
        return .good(spaceName, "\(free) free; quotas of \(LiveScreen.bytes(quota)) fit")
    }

    // MARK: Looking

    static func look(_ path: String) -> Facts {
        var facts = Facts(path: path, exists: false)
        var status = stat()
        if stat(path, &status) == 0 {
            facts.exists = true
            facts.isDirectory = status.st_mode & S_IFMT == S_IFDIR
            facts.mode = UInt32(status.st_mode & 0o7777)
            facts.isWritable = access(path, W_OK | X_OK) == 0
            facts.fileSystem = FileSystem(path)
            return facts
        }
        var above = path
        while !above.isEmpty, above != "/", stat(above, &status) != 0 { above = parent(above) }
        facts.canBeMade = access(above, W_OK | X_OK) == 0
        facts.fileSystem = FileSystem(above)
        return facts
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Disk that files below `path` take; what cannot be read counts nothing.
    static func usedBytes(below path: String) -> Int {
        guard let names = FileManager.default.enumerator(atPath: path) else { return 0 }
        var sum = 0
        var status = stat()
        for name in names.prefix(100_000) where lstat("\(path)/\(name)", &status) == 0 {
            sum += Int(status.st_blocks) * 512
        }
        return sum
    }

    static func octal(_ mode: UInt32) -> String { String(mode, radix: 8) }
}

extension DataDirectoryCheck.FileSystem {
    fileprivate init?(_ path: String) {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        self.init(
            type: Self.type(of: path, mounts: SmallText.read("/proc/self/mounts", bytesMax: 1 << 20) ?? ""),
            isReadOnly: facts.f_flag & UInt(ST_RDONLY) != 0,
            freeBytes: Int(clamping: facts.f_bavail) * Int(facts.f_frsize),
            totalBytes: Int(clamping: facts.f_blocks) * Int(facts.f_frsize), freeFiles: Int(clamping: facts.f_favail))
    }

    /// Of the mount that holds `path`: the last one with the longest name that `path` begins with.
    static func type(of path: String, mounts: String) -> String {
        let place = URL(filePath: path).resolvingSymlinksInPath().path(percentEncoded: false)
        var best = (point: "", type: "")
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = fields[1].replacing("\\040", with: " ")
            let isAbove = point == "/" || place == point || place.hasPrefix(point + "/")
            if isAbove, point.count >= best.point.count { best = (String(point), String(fields[2])) }
        }
        return best.type
    }
}
