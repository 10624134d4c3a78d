import CUring
import Glibc
import Synchronization

/// A directory of a local file system. Groups go through io_uring when the kernel permits it, else pwrite and
/// fdatasync.
public final class LocalDisk: Disk {
    public let directory: String
    private let ring: Mutex<RingWriter?>
    private let fallbackReason: Mutex<String?>
    /// Files whose reading descriptor is open, the one opened first in front.
    private let openReaders = Mutex<[LocalFile]>([])
    private static let openReadersMax = 48
    private let underWay = Mutex<UnderWay?>(nil)

    /// A write that was begun: by the ring, or only remembered. The address is a number because a raw pointer is not
    /// Sendable; whoever began the write keeps the bytes there.
    private struct UnderWay {
        var file: LocalFile
        var descriptor: Int32
        var address: UInt
        var count: Int
        var offsetBytes: Int
        /// What is known already; nil when the ring is at work.
        var step: RingWriter.Step?

        var bytes: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: count)
        }
    }

    /// Must be made on the thread that will write when it uses io_uring.
    public init(directory: String, engine: LaneConfiguration.EngineChoice = .automatic) throws(DiskError) {
        self.directory = directory
        try makeDirectories(directory)
        let asked = getenv("CAIRN_WAL_ENGINE").map { String(cString: $0) }
        guard engine == .automatic, asked != LaneConfiguration.EngineChoice.pwrite.rawValue else {
            ring = Mutex(nil)
            fallbackReason = Mutex("as configured")
            return
        }
        switch RingWriter.open() {
        case .success(let opened):
            ring = Mutex(opened)
            fallbackReason = Mutex(nil)
        case .failure(let refusal):
            ring = Mutex(nil)
            fallbackReason = Mutex("io_uring refused: \(describe(errno: refusal.errno))")
        }
    }

    public var engineDescription: String {
        fallbackReason.withLock { $0.map { "pwrite (\($0))" } } ?? "io_uring"
    }

    /// For looking only: makes nothing, and works on a file system that may not be written.
    init(reading directory: String) throws(DiskError) {
        self.directory = directory
        ring = Mutex(nil)
        fallbackReason = Mutex("for reading")
        guard access(directory, R_OK | X_OK) == 0 else { throw DiskError(.list, directory, errno: errno) }
    }

    public func list() throws(DiskError) -> [DiskEntry] {
        guard let handle = opendir(directory) else { throw DiskError(.list, directory, errno: errno) }
        defer { closedir(handle) }
        var entries: [DiskEntry] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            var facts = stat()
            guard stat(path(name), &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { continue }
            entries.append(DiskEntry(name: name, sizeBytes: Int(facts.st_size)))
        }
        return entries.sorted { $0.name < $1.name }
    }

    public func create(_ name: String, sizeBytes: Int) throws(DiskError) -> LocalFile {
        let descriptor = openForWriting(path(name), flags: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskError(.create, name, errno: errno) }
        defer { Glibc.close(descriptor) }
        do {
            try fillWithZeros(descriptor, name: name, sizeBytes: sizeBytes)
        } catch {
            unlink(path(name))
            throw error
        }
        return LocalFile(path: path(name), name: name)
    }

    public func open(_ name: String) throws(DiskError) -> LocalFile {
        // Whether it may be written shows when it is: what can be read is served from a read-only file system too.
        guard access(path(name), R_OK) == 0 else { throw DiskError(.open, name, errno: errno) }
        return LocalFile(path: path(name), name: name)
    }

    public func write(_ file: LocalFile, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int) throws(DiskError) {
        try writeFully(file.writer(), name: file.name, bytes, at: offsetBytes)
    }

    public func sync(_ file: LocalFile) throws(DiskError) {
        if fdatasync(try file.writer()) != 0 { throw DiskError(.sync, file.name, errno: errno) }
    }

    public func beginWriteAndSync(
        _ file: LocalFile, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int
    ) throws(DiskError) {
        let descriptor = try file.writer()
        // Without a ring nothing has been written yet: `finishWriteAndSync` does all of it.
        let step = ring.withLock { ring in
            ring == nil ? .short(written: 0) : ring?.begin(descriptor, bytes, at: offsetBytes)
        }
        underWay.withLock { underWay in
            precondition(underWay == nil, "\(file.name): a write is under way")
            underWay = UnderWay(
                file: file, descriptor: descriptor, address: UInt(bitPattern: bytes.baseAddress), count: bytes.count,
                offsetBytes: offsetBytes, step: step)
        }
    }

    public var isWriting: Bool {
        guard underWay.withLock({ $0 != nil && $0?.step == nil }) else { return false }
        return ring.withLock { $0?.isBusy ?? false }
    }

    public func finishWriteAndSync() throws(DiskError) {
        guard let begun = underWay.withLock({ $0.take() }) else { preconditionFailure("no write is under way") }
        let (file, descriptor, bytes) = (begun.file, begun.descriptor, begun.bytes)
        switch begun.step ?? ring.withLock({ $0?.finish(count: begun.count) ?? .short(written: 0) }) {
        case .done: return
        case .short(let written):
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            try writeFully(descriptor, name: file.name, rest, at: begun.offsetBytes + written)
        case .writeFailed(let code): throw DiskError(.write, file.name, errno: code)
        case .syncFailed(let code): throw DiskError(.sync, file.name, errno: code)
        case .ringFailed(let code):
            // The ring is gone, not the disk: go on by the other way, with this group too.
            ring.withLock { $0 = nil }
            fallbackReason.withLock { $0 = "io_uring failed: \(describe(errno: code))" }
            try writeFully(descriptor, name: file.name, bytes, at: begun.offsetBytes)
        }
        if fdatasync(descriptor) != 0 { throw DiskError(.sync, file.name, errno: errno) }
    }

    public func endWriting(_ file: LocalFile) { file.closeWriter() }

    public func read(
        _ file: LocalFile, into bytes: UnsafeMutableRawBufferPointer, at offsetBytes: Int
    ) throws(DiskError) -> Int {
        // The address crosses the closure as a number because a raw pointer is not Sendable.
        let address = UInt(bitPattern: bytes.baseAddress)
        let count = bytes.count
        let name = file.name
        let (total, opened) = try file.reading { descriptor -> Result<Int, DiskError> in
            var total = 0
            while total < count {
                let target = UnsafeMutableRawPointer(bitPattern: address + UInt(total))
                let got = pread(descriptor, target, count - total, off_t(offsetBytes + total))
                if got < 0, errno == EINTR { continue }
                if got < 0 { return .failure(DiskError(.read, name, errno: errno)) }
                if got == 0 { break }
                total += got
            }
            return .success(total)
        }
        if opened { noteOpened(file) }
        return total
    }

    public func dropCache(_ file: LocalFile, at offsetBytes: Int, lengthBytes: Int) {
        _ = try? file.reading { descriptor -> Result<Int32, DiskError> in
            .success(posix_fadvise(descriptor, off_t(offsetBytes), off_t(lengthBytes), POSIX_FADV_DONTNEED))
        }
    }

    public func rename(_ name: String, to newName: String) throws(DiskError) {
        if Glibc.rename(path(name), path(newName)) != 0 { throw DiskError(.rename, name, errno: errno) }
    }

    public func remove(_ name: String) throws(DiskError) {
        if unlink(path(name)) != 0, errno != ENOENT { throw DiskError(.remove, name, errno: errno) }
    }

    public func syncDirectory() throws(DiskError) { try syncDirectoryAt(directory) }

    private func path(_ name: String) -> String { directory + "/" + name }

    /// Keeps the number of open descriptors bounded however many segments there are.
    private func noteOpened(_ file: LocalFile) {
        let surplus = openReaders.withLock { files -> LocalFile? in
            files.append(file)
            return files.count > Self.openReadersMax ? files.removeFirst() : nil
        }
        surplus?.closeReader()
    }
}

private func fillWithZeros(_ descriptor: Int32, name: String, sizeBytes: Int) throws(DiskError) {
    // Reserved first: a full disk says so before the zeros are written, and the extents lie together.
    let code = posix_fallocate(descriptor, 0, off_t(sizeBytes))
    if code != 0, code != EOPNOTSUPP { throw DiskError(.create, name, errno: code) }
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: Block.sizeBytes)
    defer { zeros.deallocate() }
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    var offset = 0
    while offset < sizeBytes {
        let piece = UnsafeRawBufferPointer(rebasing: zeros[..<min(zeros.count, sizeBytes - offset)])
        try writeFully(descriptor, name: name, piece, at: offset)
        offset += piece.count
    }
    if fsync(descriptor) != 0 { throw DiskError(.create, name, errno: errno) }
}

private func writeFully(
    _ descriptor: Int32, name: String, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int
) throws(DiskError) {
    var done = 0
    while done < bytes.count {
        let wrote = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offsetBytes + done))
        if wrote < 0, errno == EINTR { continue }
        guard wrote > 0 else { throw DiskError(.write, name, errno: wrote == 0 ? ENOSPC : errno) }
        done += wrote
    }
}

func syncDirectoryAt(_ directory: String) throws(DiskError) {
    let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DiskError(.syncDirectory, directory, errno: errno) }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 { throw DiskError(.syncDirectory, directory, errno: errno) }
}

/// Makes `directory` and those above it; each new name is synced into its parent.
func makeDirectories(_ directory: String) throws(DiskError) {
    var facts = stat()
    if stat(directory, &facts) == 0 {
        guard facts.st_mode & S_IFMT == S_IFDIR else { throw DiskError(.create, directory, errno: ENOTDIR) }
        return
    }
    var parent = directory[...]
    while parent.last == "/" { parent.removeLast() }
    parent = parent.lastIndex(of: "/").map { parent[..<$0] } ?? "."
    let above = parent.isEmpty ? "/" : String(parent)
    try makeDirectories(above)
    if mkdir(directory, 0o750) != 0, errno != EEXIST { throw DiskError(.create, directory, errno: errno) }
    try syncDirectoryAt(above)
}
