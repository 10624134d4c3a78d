/// A fixed buffer over a file: all that scanning a segment of any size keeps in memory.
final class ScanWindow<D: Disk> {
    private let disk: D
    private let memory: UnsafeMutableRawBufferPointer
    private var file: D.File?
    private var start = 0
    private var count = 0
    private(set) var readBytes = 0
    /// Take blocks the device cannot read for zeros, so that what lies around them is found. Else errors are thrown.
    var readsAroundErrors = false
    private(set) var failedBlocks = 0

    init(disk: D, sizeBytes: Int = 1 << 20) {
        self.disk = disk
        memory = .allocate(byteCount: max(sizeBytes, 2 * Block.sizeBytes), alignment: Block.sizeBytes)
    }

    deinit { memory.deallocate() }

    func open(_ file: D.File) {
        self.file = file
        count = 0
    }

    /// Largest request `bytes(at:count:)` can serve.
    var limitBytes: Int { memory.count - Block.sizeBytes }

    /// The bytes, valid until the next call; fewer than asked at the end of the file.
    func bytes(at offset: Int, count wanted: Int) throws(DiskError) -> UnsafeRawBufferPointer {
        precondition(wanted <= limitBytes, "window of \(limitBytes) bytes asked for \(wanted)")
        if offset < start || offset + wanted > start + count { try load(at: offset) }
        let from = min(offset - start, count)
        return UnsafeRawBufferPointer(rebasing: memory[from..<min(from + wanted, count)])
    }

    private func load(at offset: Int) throws(DiskError) {
        guard let file else { preconditionFailure("a window is opened before it is read") }
        start = offset / Block.sizeBytes * Block.sizeBytes
        count = 0
        do throws(DiskError) {
            count = try disk.read(file, into: memory, at: start)
        } catch {
            guard readsAroundErrors else { throw error }
            count = readBlocks(of: file)
        }
        readBytes += count
    }

    private func readBlocks(of file: D.File) -> Int {
        for offset in stride(from: 0, to: memory.count, by: Block.sizeBytes) {
            let block = UnsafeMutableRawBufferPointer(
                rebasing: memory[offset..<min(offset + Block.sizeBytes, memory.count)])
            guard let got = readPatiently(file, into: block, at: start + offset) else {
                failedBlocks += 1
                block.initializeMemory(as: UInt8.self, repeating: 0)
                continue
            }
            if got < block.count { return offset + got }
        }
        return memory.count
    }

    /// A few attempts: an error that passes must not cost data.
    private func readPatiently(_ file: D.File, into block: UnsafeMutableRawBufferPointer, at offset: Int) -> Int? {
        for _ in 0..<3 {
            if let got = try? disk.read(file, into: block, at: offset) { return got }
        }
        return nil
    }
}
