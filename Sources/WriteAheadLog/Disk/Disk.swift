/// All that the log may ask of a disk: one directory, flat names, blocking calls.
///
/// `LocalDisk` in production, `SimulatedDisk` in tests. A write is durable after a later `sync` of the same file
/// returned; a created or renamed name is durable after `syncDirectory` returned. Offsets, lengths and addresses of
/// writes are multiples of 4096. `read`, `dropCache` and `create` may be called from any thread; the rest by the one
/// writer.
public protocol Disk: Sendable {
    associatedtype File: Sendable

    func list() throws(DiskError) -> [DiskEntry]
    /// Makes a file of zeros, written out (not only allocated) and synced, open for writing. Fails if `name` exists.
    func create(_ name: String, sizeBytes: Int) throws(DiskError) -> File
    func open(_ name: String) throws(DiskError) -> File
    func write(_ file: File, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int) throws(DiskError)
    /// Returns once every earlier write of `file` would survive a power cut.
    func sync(_ file: File) throws(DiskError)
    /// Starts `write` and `sync` as one step and returns while they may be under way. Until `finishWriteAndSync` has
    /// returned, `bytes` must stay as they are and the writer must call nothing else of the disk. A throw means that
    /// nothing is under way.
    func beginWriteAndSync(_ file: File, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int) throws(DiskError)
    /// A hint: what was begun goes on by itself meanwhile, so that waiting for it now would waste time.
    var isWriting: Bool { get }
    /// Waits for what was begun. Returns once the write would survive a power cut.
    func finishWriteAndSync() throws(DiskError)
    /// Bytes read, less than asked only at the end of the file.
    func read(_ file: File, into bytes: UnsafeMutableRawBufferPointer, at offsetBytes: Int) throws(DiskError) -> Int
    /// No more writes of this file will come: releases what only writing needs.
    func endWriting(_ file: File)
    /// Forgets cached bytes of the range, so that the next read asks the device.
    func dropCache(_ file: File, at offsetBytes: Int, lengthBytes: Int)
    func rename(_ name: String, to newName: String) throws(DiskError)
    func remove(_ name: String) throws(DiskError)
    func syncDirectory() throws(DiskError)
    /// What writes: for the status page.
    var engineDescription: String { get }
}

extension Disk {
    /// `write` and `sync` as one step, so that a disk can hand both to the kernel at once.
    public func writeAndSync(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int
    ) throws(DiskError) {
        try beginWriteAndSync(file, bytes, at: offsetBytes)
        try finishWriteAndSync()
    }
}

/// One name in the directory.
public struct DiskEntry: Sendable, Equatable {
    public var name: String
    public var sizeBytes: Int

    public init(name: String, sizeBytes: Int) {
        self.name = name
        self.sizeBytes = sizeBytes
    }
}

/// A failed system call: what was tried on which file, and the errno.
public struct DiskError: Error, Equatable, CustomStringConvertible {
    public enum Operation: String, Sendable {
        case list, create, open, write, sync, read, rename, remove, syncDirectory
    }
    public var operation: Operation
    public var name: String
    public var errno: Int32

    public init(_ operation: Operation, _ name: String, errno: Int32) {
        self.operation = operation
        self.name = name
        self.errno = errno
    }

    public var description: String { "\(operation.rawValue) \(name): \(describe(errno: errno))" }
}

/// Sizes every part of the format agrees on.
public enum Block {
    /// Alignment of groups, of O_DIRECT writes and of torn-write granularity.
    public static let sizeBytes = 4096

    static func roundedUp(_ sizeBytes: Int) -> Int { (sizeBytes + (Self.sizeBytes - 1)) & ~(Self.sizeBytes - 1) }
}
