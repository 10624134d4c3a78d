import FoundationEssentials
import Glibc
import NIOCore
import ObjectStore
import SiteAuthority
import WriteAheadLog

/// What an update keeps on the disk: `<data-dir>/update/state.json`, and the bundle beside it while it is needed.
struct UpdateFiles: Sendable {
    let directory: String

    init(dataDirectory: String) { directory = dataDirectory + "/update" }

    private var statePath: String { directory + "/state.json" }

    /// The bundle of an order. Its name says which one, so that none is taken for another.
    func path(_ order: UpdateOrder) -> String { "\(directory)/\(order.sha256).raucb" }

    /// What an earlier process left; a file that cannot be read counts as none and is put aside.
    func load() -> UpdateMachine.Memory? {
        guard let data = FileManager.default.contents(atPath: statePath) else { return nil }
        if let memory = try? JSONDecoder().decode(UpdateMachine.Memory.self, from: data), memory.formatVersion == 1 {
            return memory
        }
        _ = systemRename(statePath, statePath + ".damaged")
        return nil
    }

    /// Durable when it returns.
    func save(_ memory: UpdateMachine.Memory) throws {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try replaceSynced(
            statePath, with: String(decoding: try encoder.encode(memory), as: UTF8.self) + "\n", mode: 0o600)
    }

    // MARK: The bundle

    func sizeBytes(_ order: UpdateOrder?) -> Int {
        var facts = stat()
        guard let order, stat(path(order), &facts) == 0 else { return 0 }
        return Int(facts.st_size)
    }

    /// Every bundle but that of `kept`.
    func removeBundles(keeping kept: UpdateOrder? = nil) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where name.hasSuffix(".raucb") && kept.map({ path($0) }) != directory + "/" + name {
            unlink(directory + "/" + name)
        }
    }

    /// Writes `bytes` at `offset`, where the file ends; durable when it returns.
    func append(_ bytes: ByteBuffer, to order: UpdateOrder, at offset: Int) throws(DiskError) {
        let path = path(order)
        // The install command may be another user's.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw DiskError(.open, path, errno: errno) }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.readableBytes {
            let count = bytes.withUnsafeReadableBytes { raw in
                pwrite(descriptor, raw.baseAddress.map { $0 + done }, raw.count - done, off_t(offset + done))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw DiskError(.write, path, errno: errno) }
            done += count
        }
        guard fdatasync(descriptor) == 0 else { throw DiskError(.sync, path, errno: errno) }
    }

    /// SHA-256 of the whole file as 64 hexadecimal digits; nil when it cannot be read.
    func sha256(_ order: UpdateOrder) async -> String? {
        let descriptor = open(path(order), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var digest = RunningDigest()
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var offset = 0
        while true {
            let count = piece.withUnsafeMutableBytes { readFully(descriptor, $0, at: offset) }
            guard let count else { return nil }
            piece.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            offset += count
            if count < piece.count { break }
            // Others use this thread too.
            await Task.yield()
        }
        return MessageCode.hexadecimal(digest.finish())
    }

    /// Nil, or why the disk has no room for `bytes` more. What lanes were promised and do not use yet is theirs; where more was promised than
    /// there is, half of what is free.
    func shortage(_ bytes: Int, promisedBytes: Int) -> String? {
        guard let disk = GatewayReport.Disk(path: directory) ?? GatewayReport.Disk(path: directory + "/..") else {
            return "the free space of \(directory) is not known"
        }
        let room = disk.freeBytes - min(promisedBytes, disk.freeBytes / 2)
        guard bytes > room else { return nil }
        return "the disk has room for \(LiveScreen.bytes(room)) beside the lanes, \(LiveScreen.bytes(bytes)) are needed"
    }
}
