import Glibc
import ObjectStore

/// A disk, or a file, that is written to and read back. Nobody else has it open for writing, nor mounts it meanwhile.
final class FlashTarget {
    let path: String
    /// Nil for a file.
    let isDevice: Bool
    private let descriptor: Int32
    private var unsyncedBytes = 0

    /// Little enough that "written" means written, and that a stick which was pulled is noticed soon.
    private static let syncEveryBytes = 32 << 20

    /// Opens a block device alone: with `O_EXCL` the kernel refuses one that is mounted or held, whoever sees it. Source: open(2).
    init(device path: String) throws(FlashError) {
        descriptor = Glibc.open(path, O_RDWR | O_EXCL | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code = errno
            if code == EBUSY { throw .refused("\(path): is in use, though this process does not see by whom") }
            if code == EACCES || code == EPERM { throw .refused("\(path): \(systemError(code)); try as root") }
            throw .failed("\(path): \(systemError(code))")
        }
        self.path = path
        isDevice = true
    }

    /// Opens or makes a file. It is emptied by ``resize(to:)``.
    init(file path: String) throws(FlashError) {
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .failed("\(path): \(systemError())") }
        self.path = path
        isDevice = false
    }

    /// Opens what was written before, to make sure of it.
    init(existing path: String) throws(FlashError) {
        descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw .failed("\(path): \(systemError())") }
        self.path = path
        var facts = stat()
        isDevice = fstat(descriptor, &facts) == 0 && facts.st_mode & S_IFMT == S_IFBLK
    }

    deinit { close(descriptor) }

    /// Of a file: everything zero, so large.
    func resize(to sizeBytes: Int) throws(FlashError) {
        guard ftruncate(descriptor, 0) == 0, ftruncate(descriptor, off_t(sizeBytes)) == 0 else {
            throw .failed("\(path): \(systemError())")
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FlashError) {
        var done = 0
        while done < bytes.count, let base = bytes.baseAddress {
            let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let code = count == 0 ? ENOSPC : errno
                throw .failed("\(path): \(systemError(code)) at byte \(offset + done)")
            }
            done += count
        }
        unsyncedBytes += bytes.count
        if unsyncedBytes >= Self.syncEveryBytes { try sync() }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(FlashError) {
        try bytes.withUnsafeBufferPointer { piece throws(FlashError) in
            try write(UnsafeRawBufferPointer(piece), at: offset)
        }
    }

    func sync() throws(FlashError) {
        unsyncedBytes = 0
        guard fdatasync(descriptor) == 0 else { throw .failed("\(path): \(systemError()) while writing") }
    }

    /// What is read from here on comes from the device, not from this machine's memory.
    func forgetCache() throws(FlashError) {
        guard fsync(descriptor) == 0 else { throw .failed("\(path): \(systemError()) while writing") }
        if isDevice { _ = ioctl(descriptor, Self.flushBuffers, 0) }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
    }

    /// All of `buffer`, or an error.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FlashError) {
        guard let count = readFully(descriptor, buffer, at: offset) else {
            throw .failed("\(path): \(systemError()) when reading back byte \(offset)")
        }
        guard count == buffer.count else { throw .failed("\(path): ends at byte \(offset + count)") }
    }

    /// Up to `count` bytes of the beginning.
    func head(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, found in
            found = readFully(descriptor, UnsafeMutableRawBufferPointer(buffer), at: 0) ?? 0
        }
    }

    /// Lets the kernel see the new partitions; not every device has them.
    func readPartitionsAgain() {
        if isDevice { _ = ioctl(descriptor, Self.rereadPartitions, 0) }
    }

    /// `BLKFLSBUF` and `BLKRRPART` of linux/fs.h.
    private static let flushBuffers = UInt(0x1261)
    private static let rereadPartitions = UInt(0x125F)
}
