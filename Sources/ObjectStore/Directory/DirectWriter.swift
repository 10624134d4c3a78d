import Glibc
import NIOCore
import Synchronization

/// Writes large bodies past the page cache (`O_DIRECT`, open(2)).
///
/// An object is synced at once and seldom read again from here: taking pages of the page cache for it, copying it there and
/// writing them back was most of the CPU of a node in object mode. The disk takes the bytes from where they are if
/// the kernel lets it (since Linux 6.0 most devices ask for 4 bytes of alignment in memory), else from an aligned staging
/// buffer. A file system that has no direct writes gets ordinary ones, and so does what is left after the last whole block.
final class DirectWriter: Sendable {
    /// Below this size the page cache is cheaper: an ordinary write waits for the disk once, in `fsync`.
    static let bodyBytesMin = 256 << 10
    /// One write from a staging buffer.
    static let stagingBytes = 1 << 20
    /// Of offsets and lengths, and of the staging buffer: a multiple of every block size in use.
    static let alignment = 4096
    /// Staging buffers kept for the next body.
    private static let keptMax = 4

    enum Way: Sendable, Equatable, CaseIterable {
        case fromMemory, staged, ordinary
    }

    /// `@unchecked Sendable`: owned by one write at a time, else by the state.
    private struct Staging: @unchecked Sendable {
        let bytes: UnsafeMutableRawBufferPointer
    }

    private struct State {
        var way: Way
        var kept: [Staging] = []
    }

    private let state: Mutex<State>

    /// - Parameter way: the first to be tried; after an `EINVAL` the next one is taken from then on.
    init(way: Way = .fromMemory) {
        state = Mutex(State(way: way))
    }

    private static let writeBytesMax = 1 << 20

    deinit {
        state.withLock { for staging in $0.kept { staging.bytes.deallocate() } }
    }

    var way: Way { state.withLock { $0.way } }

    /// Writes all of `body` from the file's position on; false on failure. The caller syncs.
    func write(_ body: ObjectBody, to file: borrowing OpenFile) -> Bool {
        if body.pieces.count == 1 { return body.pieces[0].withUnsafeReadableBytes { write($0, to: file) } }
        if body.sizeBytes >= Self.bodyBytesMin, way != .ordinary, file.setDirect(true) {
            return writeGathered(body.pieces, to: file)
        }
        return body.pieces.allSatisfy { piece in piece.withUnsafeReadableBytes { file.write($0) } }
    }

    /// Pieces end where they end, blocks do not: they are put together in a staging buffer, which the CPU's caches hold.
    private func writeGathered(_ pieces: [ByteBuffer], to file: borrowing OpenFile) -> Bool {
        let staging = takeStaging()
        defer { giveBack(staging) }
        var filled = 0
        var isDirect = true
        for piece in pieces {
            var done = 0
            while done < piece.readableBytes {
                let part = min(piece.readableBytes - done, staging.bytes.count - filled)
                piece.withUnsafeReadableBytes { source in
                    UnsafeMutableRawBufferPointer(rebasing: staging.bytes[filled..<filled + part])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[done..<done + part]))
                }
                done += part
                filled += part
                guard filled == staging.bytes.count else { continue }
                guard flush(UnsafeRawBufferPointer(staging.bytes), to: file, &isDirect) else { return false }
                filled = 0
            }
        }
        let rest = UnsafeRawBufferPointer(rebasing: staging.bytes[..<filled])
        let wholeBytes = filled - filled % Self.alignment
        guard flush(UnsafeRawBufferPointer(rebasing: rest[..<wholeBytes]), to: file, &isDirect) else { return false }
        guard !isDirect || file.setDirect(false) else { return false }
        return file.write(UnsafeRawBufferPointer(rebasing: rest[wholeBytes...]))
    }

    /// Writes whole blocks of a staging buffer; when the file system refuses direct writes, the ordinary way from then on.
    private func flush(
        _ blocks: UnsafeRawBufferPointer, to file: borrowing OpenFile, _ isDirect: inout Bool
    ) -> Bool {
        guard isDirect else { return file.write(blocks) }
        guard let written = Self.write(blocks, to: file, staging: nil) else { return false }
        guard written < blocks.count else { return true }
        state.withLock { $0.way = .ordinary }
        isDirect = false
        return file.setDirect(false) && file.write(UnsafeRawBufferPointer(rebasing: blocks[written...]))
    }

    /// Writes all of `bytes` from the file's position on; false on failure. The caller syncs.
    func write(_ bytes: UnsafeRawBufferPointer, to file: borrowing OpenFile) -> Bool {
        guard bytes.count >= Self.bodyBytesMin, way != .ordinary, file.setDirect(true) else {
            return file.write(bytes)
        }
        guard let done = writeBlocks(of: bytes, to: file), file.setDirect(false) else { return false }
        return file.write(UnsafeRawBufferPointer(rebasing: bytes[done...]))
    }

    /// How many bytes were written, all whole blocks where the file system can; nil on failure.
    private func writeBlocks(of bytes: UnsafeRawBufferPointer, to file: borrowing OpenFile) -> Int? {
        let blocks = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - bytes.count % Self.alignment)])
        var done = 0
        if way == .fromMemory {
            guard let written = Self.write(blocks, to: file, staging: nil) else { return nil }
            if written < blocks.count { advance(from: .fromMemory) }
            done = written
        }
        guard way == .staged, done < blocks.count else { return done }
        let staging = takeStaging()
        defer { giveBack(staging) }
        let rest = UnsafeRawBufferPointer(rebasing: blocks[done...])
        guard let written = Self.write(rest, to: file, staging: staging.bytes) else { return nil }
        if written < rest.count { advance(from: .staged) }
        return done + written
    }

    /// Up to the first `EINVAL`; nil on another failure.
    private static func write(
        _ blocks: UnsafeRawBufferPointer, to file: borrowing OpenFile, staging: UnsafeMutableRawBufferPointer?
    ) -> Int? {
        var done = 0
        while done < blocks.count {
            // Not more at once: whoever syncs a small write on the same disk waits behind it.
            var part = UnsafeRawBufferPointer(rebasing: blocks[done...].prefix(Self.writeBytesMax))
            if let staging {
                part = UnsafeRawBufferPointer(rebasing: part.prefix(staging.count))
                staging.copyMemory(from: part)
                part = UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(rebasing: staging.prefix(part.count)))
            }
            let written = Glibc.write(file.descriptor, part.baseAddress, part.count)
            if written < 0 {
                if errno == EINTR { continue }
                return errno == EINVAL ? done : nil
            }
            done += written
        }
        return done
    }

    private func advance(from way: Way) {
        state.withLock { state in
            guard state.way == way else { return }
            state.way = way == .fromMemory ? .staged : .ordinary
        }
    }

    private func takeStaging() -> Staging {
        state.withLock { $0.kept.popLast() }
            ?? Staging(bytes: .allocate(byteCount: Self.stagingBytes, alignment: Self.alignment))
    }

    private func giveBack(_ staging: Staging) {
        let isKept = state.withLock { state in
            guard state.kept.count < Self.keptMax else { return false }
            state.kept.append(staging)
            return true
        }
        if !isKept { staging.bytes.deallocate() }
    }
}
