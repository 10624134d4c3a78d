import Glibc
import Synchronization

/// A disk in memory that can lose power: what was not synced is then lost, torn or kept, by the caller's random
/// numbers.
///
/// Reads see everything written, as a page cache would show it. A name made or changed is durable after
/// `syncDirectory`; at a crash a prefix of the changes since then survives, as with a journaling file system. A failed
/// sync leaves its writes in doubt for good (a later good sync does not cover them), as Linux does. A write that was
/// begun happens when it is finished; power may go, or the process die, before that, and then nobody knows how far it
/// got. Same calls and same numbers, same outcome.
public final class SimulatedDisk: Disk {
    public struct File: Sendable {
        let inode: Int
        let name: String
    }

    /// What goes wrong next. Counts are in calls of the named kind.
    public struct Faults: Sendable {
        /// Writes (also the write half of what `finishWriteAndSync` does) that fail from now on, and how.
        public var failingWrites = 0
        public var failingSyncs = 0
        public var failingReads = 0
        public var failingOpens = 0
        /// The file system may not be written: everything that changes it fails with EROFS.
        public var isReadOnly = false
        public var failingCreates = 0
        public var failingRenames = 0
        public var failingDirectorySyncs = 0
        public var errno: Int32 = EIO
        /// Power goes off inside the operation with this number (see `operations`); it and all later ones fail.
        public var powerOffAt: Int?

        public init() {}
    }

    struct Write {
        var offset: Int
        var bytes: [UInt8]
        var isDurable = false
        var isDoubtful = false
    }
    struct Inode {
        /// As it would be after a power cut that loses everything it can.
        var base: [UInt8]
        var writes: [Write] = []
        /// As readers see it.
        var current: [UInt8]
    }
    struct UnderWay {
        var file: File
        var bytes: [UInt8]
        var offset: Int
    }
    enum NameChange {
        case link(String, Int)
        case unlink(String)
        case rename(String, String)
    }
    struct State {
        var inodes: [Int: Inode] = [:]
        var nextInode = 1
        var names: [String: Int] = [:]
        var durableNames: [String: Int] = [:]
        var changes: [NameChange] = []
        var faults = Faults()
        var operations = 0
        var writtenBytes: UInt64 = 0
        var isOff = false
        var capacityBytes = Int.max
        var underWay: UnderWay?
        var observer: (@Sendable ([UInt8], Int) -> Void)?
    }

    private let state: Mutex<State>

    public init(capacityBytes: Int = .max) {
        var initial = State()
        initial.capacityBytes = capacityBytes
        state = Mutex(initial)
    }

    /// Everything on a disk at one moment, unsynced writes as readers saw them.
    public struct Image: Sendable {
        let state: State
    }

    /// A copy of all there is now. What was under way is not in it.
    public var image: Image {
        var copy = state.withLock { $0 }
        copy.underWay = nil
        copy.observer = nil
        copy.faults = Faults()
        copy.isOff = false
        return Image(state: copy)
    }

    /// Another disk with the same contents. With ``crash(using:)`` after it, it is the snapshot of a machine that ran on.
    public convenience init(_ image: Image, capacityBytes: Int) {
        self.init()
        state.withLock {
            $0 = image.state
            $0.capacityBytes = capacityBytes
        }
    }

    public var engineDescription: String { "simulated" }

    // MARK: What a test does to it

    public var faults: Faults {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Writes begun and done, syncs and name changes so far.
    public var operations: Int { state.withLock { $0.operations } }

    /// Bytes of all writes so far.
    public var writtenBytes: UInt64 { state.withLock { $0.writtenBytes } }

    /// Whether power went off at `Faults.powerOffAt`.
    public var isOff: Bool { state.withLock { $0.isOff } }

    /// Told of the bytes of every write that is asked for, and where in its file they go, whatever then becomes of it.
    public func observe(_ observer: @escaping @Sendable (_ bytes: [UInt8], _ offsetBytes: Int) -> Void) {
        state.withLock { $0.observer = observer }
    }

    /// Bytes all files together may take; creating beyond it fails with ENOSPC.
    public var capacityBytes: Int {
        get { state.withLock { $0.capacityBytes } }
        set { state.withLock { $0.capacityBytes = newValue } }
    }

    /// Power cut and power back: decides the fate of everything unsynced and clears the faults.
    public func crash(using random: inout some RandomNumberGenerator) {
        var drawn = random
        state.withLock { state in
            state.landUnderWay()
            let kept = Int.random(in: 0...state.changes.count, using: &drawn)
            var names = state.durableNames
            for change in state.changes.prefix(kept) { Self.apply(change, to: &names) }
            state.names = names
            state.durableNames = names
            state.changes = []
            let used = Set(names.values)
            for number in state.inodes.keys.sorted() {
                guard used.contains(number) else {
                    state.inodes[number] = nil
                    continue
                }
                state.inodes[number]?.crash(using: &drawn)
            }
            state.faults = Faults()
            state.isOff = false
        }
        random = drawn
    }

    /// The process died, the machine did not: everything written is still there, and what was under way gets there.
    public func restartProcess() {
        state.withLock { state in
            state.landUnderWay()
            state.faults = Faults()
            state.isOff = false
        }
    }

    /// Changes bytes on the medium, as rot does; nothing else notices.
    public func corrupt(_ name: String, at offset: Int, _ change: (inout UInt8) -> Void) {
        var changed: UInt8 = 0
        state.withLock { state in
            guard let number = state.names[name] else { return }
            changed = state.inodes[number]?.current[offset] ?? 0
        }
        change(&changed)
        let value = changed
        overwrite(name, at: offset, with: [value])
    }

    /// Puts bytes into a file behind the log's back, durably.
    public func overwrite(_ name: String, at offset: Int, with bytes: [UInt8]) {
        state.withLock { state in
            guard let number = state.names[name] else { return }
            state.inodes[number]?.put(Write(offset: offset, bytes: bytes, isDurable: true))
        }
    }

    public func contents(_ name: String) -> [UInt8]? {
        state.withLock { state in state.names[name].flatMap { state.inodes[$0]?.current } }
    }

    /// Makes or replaces a whole file, durably.
    public func place(_ name: String, _ bytes: [UInt8]) {
        state.withLock { state in
            state.inodes[state.nextInode] = Inode(base: bytes, current: bytes)
            state.names[name] = state.nextInode
            state.durableNames[name] = state.nextInode
            state.nextInode += 1
        }
    }

    public func erase(_ name: String) {
        state.withLock { state in
            state.names[name] = nil
            state.durableNames[name] = nil
        }
    }

    // MARK: Disk

    public func list() throws(DiskError) -> [DiskEntry] {
        state.withLock { state in
            state.names.map { DiskEntry(name: $0.key, sizeBytes: state.inodes[$0.value]?.current.count ?? 0) }
                .sorted { $0.name < $1.name }
        }
    }

    public func create(_ name: String, sizeBytes: Int) throws(DiskError) -> File {
        try perform { state throws(DiskError) in
            try state.enter(.create, name, \.failingCreates)
            guard state.names[name] == nil else { throw DiskError(.create, name, errno: EEXIST) }
            let used = state.inodes.values.reduce(0) { $0 + $1.current.count }
            guard used + sizeBytes <= state.capacityBytes else { throw DiskError(.create, name, errno: ENOSPC) }
            let number = state.nextInode
            state.nextInode += 1
            let zeros = [UInt8](repeating: 0, count: sizeBytes)
            state.inodes[number] = Inode(base: zeros, current: zeros)
            state.names[name] = number
            state.changes.append(.link(name, number))
            return File(inode: number, name: name)
        }
    }

    public func open(_ name: String) throws(DiskError) -> File {
        try perform { state throws(DiskError) in
            if state.faults.failingOpens > 0 {
                state.faults.failingOpens -= 1
                throw DiskError(.open, name, errno: state.faults.errno)
            }
            guard let number = state.names[name] else { throw DiskError(.open, name, errno: ENOENT) }
            return File(inode: number, name: name)
        }
    }

    public func write(_ file: File, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int) throws(DiskError) {
        let copy = [UInt8](bytes)
        try perform { state throws(DiskError) in try state.write(file, copy, at: offsetBytes) }
    }

    public func sync(_ file: File) throws(DiskError) {
        try perform { state throws(DiskError) in try state.sync(file) }
    }

    public func beginWriteAndSync(
        _ file: File, _ bytes: UnsafeRawBufferPointer, at offsetBytes: Int
    ) throws(DiskError) {
        let copy = [UInt8](bytes)
        state.withLock { $0.begin(file, copy, at: offsetBytes) }
    }

    public var isWriting: Bool { state.withLock { $0.underWay != nil } }

    public func finishWriteAndSync() throws(DiskError) {
        try perform { state throws(DiskError) in try state.finish() }
    }

    public func endWriting(_ file: File) {}

    public func read(
        _ file: File, into bytes: UnsafeMutableRawBufferPointer, at offsetBytes: Int
    ) throws(DiskError) -> Int {
        let count = bytes.count
        let found = try perform { state throws(DiskError) -> [UInt8] in
            if state.isOff { throw DiskError(.read, file.name, errno: ENODEV) }
            if state.faults.failingReads > 0 {
                state.faults.failingReads -= 1
                throw DiskError(.read, file.name, errno: state.faults.errno)
            }
            guard let inode = state.inodes[file.inode] else { throw DiskError(.read, file.name, errno: EIO) }
            return Array(inode.current[min(offsetBytes, inode.current.count)...].prefix(count))
        }
        bytes.copyBytes(from: found)
        return found.count
    }

    public func dropCache(_ file: File, at offsetBytes: Int, lengthBytes: Int) {}

    public func rename(_ name: String, to newName: String) throws(DiskError) {
        try perform { state throws(DiskError) in
            try state.enter(.rename, name, \.failingRenames)
            guard state.names[name] != nil else { throw DiskError(.rename, name, errno: ENOENT) }
            let change = NameChange.rename(name, newName)
            Self.apply(change, to: &state.names)
            state.changes.append(change)
        }
    }

    public func remove(_ name: String) throws(DiskError) {
        try perform { state throws(DiskError) in
            if state.isOff { throw DiskError(.remove, name, errno: ENODEV) }
            if state.faults.isReadOnly { throw DiskError(.remove, name, errno: EROFS) }
            guard state.names[name] != nil else { return }
            Self.apply(.unlink(name), to: &state.names)
            state.changes.append(.unlink(name))
            state.dropUnnamed()
        }
    }

    public func syncDirectory() throws(DiskError) {
        try perform { state throws(DiskError) in
            try state.enter(.syncDirectory, "", \.failingDirectorySyncs)
            state.durableNames = state.names
            state.changes = []
            state.dropUnnamed()
        }
    }

    private func perform<T: Sendable>(
        _ body: (inout State) throws(DiskError) -> T
    ) throws(DiskError) -> T {
        let result: Result<T, DiskError> = state.withLock { state in
            do throws(DiskError) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private static func apply(_ change: NameChange, to names: inout [String: Int]) {
        switch change {
        case .link(let name, let inode): names[name] = inode
        case .unlink(let name): names[name] = nil
        case .rename(let from, let to): names[to] = names.removeValue(forKey: from)
        }
    }
}
