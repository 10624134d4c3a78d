import Glibc

/// Small files read at once: settings, states, what /proc and /sys say. Blocks while it reads.
///
/// The size that a file system tells is not asked: files of /proc have none, and a file can grow meanwhile.
public enum SmallFile {
    public enum Failure: Error, Equatable, CustomStringConvertible {
        /// An `errno` of open(2).
        case open(Int32)
        /// An `errno` of read(2).
        case read(Int32)
        case tooLarge(bytesMax: Int)

        public var description: String {
            switch self {
            case .open(let code), .read(let code): String(cString: strerror(code))
            case .tooLarge(let bytesMax): "more than \(bytesMax) bytes"
            }
        }
    }

    /// All of the file; a longer one is an error.
    public static func read(_ path: String, bytesMax: Int) throws(Failure) -> [UInt8] {
        let bytes = try beginning(of: path, bytesMax: bytesMax + 1)
        guard bytes.count <= bytesMax else { throw .tooLarge(bytesMax: bytesMax) }
        return bytes
    }

    /// The file, or its first `bytesMax` bytes where it has more.
    public static func beginning(of path: String, bytesMax: Int) throws(Failure) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .open(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: min(bytesMax, pieceBytes))
        while bytes.count < bytesMax {
            let count = Glibc.read(descriptor, &piece, min(piece.count, bytesMax - bytes.count))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .read(errno) }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return bytes
    }

    private static let pieceBytes = 16 << 10
}
