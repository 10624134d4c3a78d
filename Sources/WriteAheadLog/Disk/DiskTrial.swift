import CUring
import Glibc

/// What the log would meet in a directory: its way of writing, and how long a small write takes until it is durable.
///
/// For looking at a machine, also beside a running gateway. The file has no name, so nothing is left behind however the
/// process ends.
public struct DiskTrial: Sendable, Equatable {
    /// Nil: io_uring carries the writes; else why it does not, and the log uses pwrite and fdatasync.
    public var ringRefusal: String?
    /// Nil: O_DIRECT goes; else why the log writes through the page cache.
    public var directRefusal: String?
    /// Nanoseconds of each write of 4 KiB in place with its fdatasync, in the order made.
    public var latenciesNs: [UInt64]

    public init(ringRefusal: String?, directRefusal: String?, latenciesNs: [UInt64]) {
        self.ringRefusal = ringRefusal
        self.directRefusal = directRefusal
        self.latenciesNs = latenciesNs
    }

    private static let blockBytes = 4096
    private static let blocks = 16

    /// Writes up to `writesMax` times, and no longer than `limit` (the last write may last longer). Blocks.
    public static func run(
        directory: String, writesMax: Int = 128, within limit: Duration = .seconds(1)
    ) throws(DiskError) -> DiskTrial {
        let descriptor = try openNameless(directory)
        defer { close(descriptor) }
        let block = UnsafeMutableRawPointer.allocate(byteCount: blockBytes, alignment: blockBytes)
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 0x5a, count: blockBytes)
        // The log writes into files that are there already: so do the writes that count.
        for index in 0..<blocks { try write(block, at: index, descriptor, directory) }
        if fsync(descriptor) != 0 { throw DiskError(.sync, directory, errno: errno) }
        let direct = fcntl(descriptor, F_SETFL, cairn_o_direct())
        let directRefusal = direct == 0 ? nil : describe(errno: errno)
        let clock = ContinuousClock()
        let end = clock.now + limit
        var latencies: [UInt64] = []
        while latencies.count < max(1, writesMax), latencies.isEmpty || clock.now < end {
            let start = clock.now
            try write(block, at: latencies.count % blocks, descriptor, directory)
            if fdatasync(descriptor) != 0 { throw DiskError(.sync, directory, errno: errno) }
            let took = start.duration(to: clock.now).components
            latencies.append(UInt64(took.seconds) * 1_000_000_000 + UInt64(took.attoseconds / 1_000_000_000))
        }
        return DiskTrial(ringRefusal: ringRefusal(), directRefusal: directRefusal, latenciesNs: latencies)
    }

    /// Nil where the kernel gives this process an io_uring.
    public static func ringRefusal() -> String? {
        switch RingWriter.open() {
        case .success: nil
        case .failure(let refusal): describe(errno: refusal.errno)
        }
    }

    private static func write(
        _ block: UnsafeMutableRawPointer, at index: Int, _ descriptor: Int32, _ directory: String
    ) throws(DiskError) {
        let written = pwrite(descriptor, block, blockBytes, off_t(index * blockBytes))
        guard written == blockBytes else {
            throw DiskError(.write, directory, errno: written < 0 ? errno : ENOSPC)
        }
    }

    /// Not every file system has files without a name; there the name is taken away at once.
    private static func openNameless(_ directory: String) throws(DiskError) -> Int32 {
        let descriptor = open(directory, cairn_o_tmpfile() | O_RDWR | O_CLOEXEC, 0o600)
        if descriptor >= 0 { return descriptor }
        guard errno == EOPNOTSUPP || errno == EISDIR else { throw DiskError(.create, directory, errno: errno) }
        let path = directory + "/.trial-\(getpid())"
        let named = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard named >= 0 else { throw DiskError(.create, path, errno: errno) }
        unlink(path)
        return named
    }
}
