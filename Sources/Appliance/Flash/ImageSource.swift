import CZstd
import Glibc
import ObjectStore

/// Bytes of an image from its beginning to its end.
protocol ImageSource: AnyObject {
    /// Nil: only its end tells.
    var sizeBytes: Int? { get }
    /// Fills `buffer`; the count, fewer only at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlashError) -> Int
    /// Passes over bytes; the count, fewer only at the end.
    func skip(_ count: Int) throws(FlashError) -> Int
}

enum ImageFile {
    /// Raw, or compressed with zstd: the first bytes tell.
    static func open(_ path: String) throws(FlashError) -> any ImageSource {
        let file = try RawImage(path)
        var magic: UInt32 = 0
        let count = try withUnsafeMutableBytes(of: &magic) { buffer throws(FlashError) in try file.read(into: buffer) }
        try file.rewind()
        let isZstd = count == 4 && (magic.littleEndian == ZSTD_MAGICNUMBER || isSkippable(magic.littleEndian))
        return isZstd ? try ZstdImage(file, path: path) : file
    }

    /// A frame without content, which some compressors begin with. Source: RFC 8878, section 3.1.2.
    private static func isSkippable(_ magic: UInt32) -> Bool { magic & 0xFFFF_FFF0 == 0x184D_2A50 }
}

/// A file as it is.
final class RawImage: ImageSource {
    let sizeBytes: Int?
    private let path: String
    private let descriptor: Int32
    private var position = 0

    init(_ path: String) throws(FlashError) {
        descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .noInput("\(path): \(systemError())") }
        var facts = stat()
        guard fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .noInput("\(path): not a file")
        }
        self.path = path
        sizeBytes = Int(facts.st_size)
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
    }

    deinit { close(descriptor) }

    /// What tells one file from another.
    var identity: [UInt64] {
        var facts = stat()
        return fstat(descriptor, &facts) == 0 ? [UInt64(facts.st_dev), UInt64(facts.st_ino)] : []
    }

    func rewind() throws(FlashError) { position = 0 }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlashError) -> Int {
        guard let count = readFully(descriptor, buffer, at: position) else {
            throw .noInput("\(path): \(systemError()) at byte \(position)")
        }
        position += count
        return count
    }

    func skip(_ count: Int) throws(FlashError) -> Int {
        let step = min(count, max(0, (sizeBytes ?? 0) - position))
        position += step
        return step
    }
}

/// What a file of zstd frames opens to. Windows above 128 MiB are refused (zstd's own limit), so memory is bounded.
final class ZstdImage: ImageSource {
    let sizeBytes: Int?
    private let file: RawImage
    private let path: String
    private let context: OpaquePointer
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 64)
    private let waste = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 64)
    private var filled = 0
    private var used = 0
    private var opened = 0
    private var isInFrame = false

    init(_ file: RawImage, path: String) throws(FlashError) {
        guard let context = ZSTD_createDCtx() else { throw .failed("out of memory") }
        self.context = context
        self.file = file
        self.path = path
        // The size is of the first frame; a file of several opens to more.
        filled = try file.read(into: input)
        let size = ZSTD_getFrameContentSize(input.baseAddress, filled)
        let frame = ZSTD_findFrameCompressedSize(input.baseAddress, filled)
        let isKnown = size > 0 && size < 1 << 50 && ZSTD_isError(frame) != 0
        sizeBytes = isKnown ? Int(size) : nil
    }

    deinit {
        ZSTD_freeDCtx(context)
        input.deallocate()
        waste.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlashError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos < output.size {
            if used == filled {
                filled = try file.read(into: input)
                used = 0
            }
            // At the end of the file there may still be bytes inside the decoder.
            let before = output.pos
            var given = ZSTD_inBuffer(src: input.baseAddress, size: filled, pos: used)
            let isEnd = filled == 0
            if isEnd, !isInFrame { break }
            let left = ZSTD_decompressStream(context, &output, &given)
            guard ZSTD_isError(left) == 0 else {
                throw .badImage(
                    "\(path): not zstd any more after \(opened + output.pos) bytes of the image: "
                        + String(cString: ZSTD_getErrorName(left)))
            }
            used = given.pos
            isInFrame = left != 0
            if isEnd, isInFrame, output.pos == before {
                throw .badImage(
                    "\(path): ends after \(opened + output.pos) bytes of the image, in the middle of a frame")
            }
        }
        opened += output.pos
        return output.pos
    }

    func skip(_ count: Int) throws(FlashError) -> Int {
        var left = count
        while left > 0 {
            let step = try read(into: UnsafeMutableRawBufferPointer(rebasing: waste[..<min(left, waste.count)]))
            if step == 0 { break }
            left -= step
        }
        return count - left
    }
}

/// `errno` in words.
func systemError(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }
