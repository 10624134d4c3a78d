import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Producer ids that are never given twice, not even by a gateway that lost power.
///
/// - Shape: the upper 31 bits are the gateway's own random space, the lower 32 count. Two gateways that feed the same
///   cloud are therefore unlikely to give the same id, and none is negative.
/// - Durability: ids are taken from the file in blocks; the file names the first id of the next block and is on disk
///   before an id of the current one is given out. A restart wastes the rest of a block.
/// - The file: one line, `<space> <count of ids that may have been given>`, decimal. One that is missing or cannot be read
///   starts a new space, so that a bad disk block never stops a gateway.
final class ProducerIDs: Sendable {
    private struct State {
        var space: UInt32
        var next: UInt32
        var blockEnd: UInt32
    }

    static let blockSize: UInt32 = 1000
    private let path: String
    private let state: Mutex<State>

    /// - Parameter newSpace: random; used where the file does not say.
    init(path: String, newSpace: UInt32) {
        let (space, given) = Self.read(path) ?? (newSpace >> 1, 0)
        self.path = path
        self.state = Mutex(State(space: space, next: given, blockEnd: given))
    }

    /// A new id. Blocks for an fsync once in a thousand calls.
    func next() throws(ProducerIDError) -> Int64 {
        try state.withLock { state throws(ProducerIDError) in
            if state.next == state.blockEnd {
                let (end, overflow) = state.blockEnd.addingReportingOverflow(Self.blockSize)
                if overflow { throw .exhausted }
                try Self.write("\(state.space) \(end)\n", to: path)
                state.blockEnd = end
            }
            defer { state.next += 1 }
            return Int64(state.space) << 32 | Int64(state.next)
        }
    }

    private static func read(_ path: String) -> (space: UInt32, given: UInt32)? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count > 0, bytes[count - 1] == UInt8(ascii: "\n") else { return nil }
        let words = String(decoding: bytes[..<(count - 1)], as: UTF8.self).split(separator: " ")
        guard words.count == 2, let space = UInt32(words[0]), space <= UInt32.max >> 1, let given = UInt32(words[1])
        else { return nil }
        return (space, given)
    }

    /// Write, fsync, rename, fsync of the directory: after a crash the file is the old one or the new one.
    private static func write(_ line: String, to path: String) throws(ProducerIDError) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .fileFailed(path: temporary, step: "open", errno: errno) }
        let bytes = Array(line.utf8)
        let written = Glibc.write(descriptor, bytes, bytes.count)
        let synced = written == bytes.count ? fsync(descriptor) : -1
        let failure = errno
        close(descriptor)
        guard synced == 0 else { throw .fileFailed(path: temporary, step: "write", errno: failure) }
        guard rename(temporary, path) == 0 else { throw .fileFailed(path: path, step: "rename", errno: errno) }
        let parent = path.lastIndex(of: "/").map { path[..<$0] } ?? "."
        let directory = open(parent.isEmpty ? "/" : String(parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw .fileFailed(path: path, step: "open directory", errno: errno) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw .fileFailed(path: path, step: "sync directory", errno: errno) }
    }
}

/// Why no producer id could be given.
enum ProducerIDError: Error, Equatable {
    /// Four thousand million ids have been given.
    case exhausted
    case fileFailed(path: String, step: String, errno: Int32)
}
