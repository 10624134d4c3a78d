import Glibc
import NIOCore

/// Lists keys in the byte order of whole keys, in memory bounded by the page.
///
/// A directory's entries come in no order. They are taken in the order of their names, a directory's with a slash at its end, which
/// is the byte order of the keys below (`a-b`, then `a/1`, then `a0`). Per open directory at most ``chunkMax`` names are held: a larger
/// one is read again from where it was left.
struct DirectoryListing {
    private let root: String
    private let prefix: String
    private let startAfter: String?
    private let limit: Int
    private var objects: [ListedObject] = []

    private struct Entry {
        /// With a slash at its end for a directory.
        var key: String
        var isDirectory: Bool
    }

    init(root: String, prefix: String, startAfter: String?, limit: Int) {
        self.root = root
        self.prefix = prefix
        self.startAfter = startAfter
        self.limit = limit
    }

    private var chunkMax: Int { min(limit, 4096) + 1 }

    mutating func run() throws(ObjectStoreError) -> ListPage {
        // Down to the deepest directory that the prefix names, so that its siblings are never read.
        let start = prefix.lastIndex(of: "/").map { String(prefix[...$0]) } ?? ""
        let more = try walk(start)
        return ListPage(objects: objects, next: more ? objects.last?.key : nil)
    }

    /// Lists below `directory` (empty, or a key prefix with a slash at its end). True when the page is full and there is more.
    private mutating func walk(_ directory: String) throws(ObjectStoreError) -> Bool {
        var after = ""
        while true {
            let (entries, isWhole) = try chunk(of: directory, after: after)
            for entry in entries {
                if entry.isDirectory {
                    if try walk(entry.key) { return true }
                } else if let facts = file(entry.key) {
                    if objects.count == limit { return true }
                    let info = facts.info
                    objects.append(
                        ListedObject(key: entry.key, sizeBytes: info.sizeBytes, lastModifiedMs: info.lastModifiedMs))
                }
            }
            guard !isWhole, let last = entries.last else { return false }
            after = last.key
        }
    }

    /// The first entries after `after` that may hold wanted keys, in order, and whether those are all.
    private func chunk(
        of directory: String, after: String
    ) throws(ObjectStoreError) -> (entries: [Entry], isWhole: Bool) {
        var entries: [Entry] = []
        var isWhole = true
        let path = directory.isEmpty ? root : root + "/" + directory.dropLast()
        let opened = scanDirectory(path) { name, type in
            if directory.isEmpty, name == ObjectKey.reservedElement { return }
            guard let isDirectory = isDirectory(type, path + "/" + name) else { return }
            let entry = Entry(key: directory + name + (isDirectory ? "/" : ""), isDirectory: isDirectory)
            guard isWanted(entry), ObjectKey.isBefore(after, entry.key) else { return }
            entries.append(entry)
            if entries.count >= 2 * chunkMax {
                cut(&entries)
                isWhole = false
            }
        }
        if !opened, errno != ENOENT, errno != ENOTDIR { throw fileError(.list, prefix, "read \(path)") }
        if entries.count > chunkMax { isWhole = false }
        cut(&entries)
        return (entries, isWhole)
    }

    private func cut(_ entries: inout [Entry]) {
        entries.sort { ObjectKey.isBefore($0.key, $1.key) }
        if entries.count > chunkMax { entries.removeSubrange(chunkMax...) }
    }

    private func isWanted(_ entry: Entry) -> Bool {
        let startAfter = startAfter ?? ""
        guard entry.isDirectory else {
            return ObjectKey.hasPrefix(entry.key, prefix) && ObjectKey.isBefore(startAfter, entry.key)
        }
        return (ObjectKey.hasPrefix(entry.key, prefix) || ObjectKey.hasPrefix(prefix, entry.key))
            && (ObjectKey.isBefore(startAfter, entry.key) || ObjectKey.hasPrefix(startAfter, entry.key))
    }

    /// nil for what is neither a file nor a directory, and so no object of ours.
    private func isDirectory(_ type: Int32, _ path: String) -> Bool? {
        switch type {
        case Int32(DT_DIR): return true
        case Int32(DT_REG): return false
        case Int32(DT_UNKNOWN):
            var facts = stat()
            guard lstat(path, &facts) == 0, facts.isFile || facts.isDirectory else { return nil }
            return facts.isDirectory
        default: return nil
        }
    }

    /// nil when the object was deleted since its name was read.
    private func file(_ key: String) -> stat? {
        var facts = stat()
        return lstat(root + "/" + key, &facts) == 0 && facts.isFile ? facts : nil
    }
}

/// Calls `body` with name and `DT_` type of each entry but `.` and `..`; names that are not UTF-8 cannot be keys and are passed over.
/// False on failure; `errno` tells why.
func scanDirectory(_ path: String, _ body: (String, Int32) -> Void) -> Bool {
    guard let directory = opendir(path) else { return false }
    defer { closedir(directory) }
    while true {
        errno = 0
        guard let entry = readdir(directory) else { return errno == 0 }
        let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(validatingCString: $0) }
        }
        if let name, name != ".", name != ".." { body(name, Int32(entry.pointee.d_type)) }
    }
}
