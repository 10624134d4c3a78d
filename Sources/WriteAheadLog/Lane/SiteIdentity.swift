import Glibc

/// Which installation this is: 32 hexadecimal digits made once and kept in `<root>/incarnation`.
///
/// A wiped disk gets a new one, so that its LSNs and object sequences, which begin again, meet nothing of the old ones.
public struct SiteIdentity: Sendable, Equatable {
    public let incarnation: String
    /// What was wrong with the file that was there, when it had to be put aside.
    public let replaced: String?

    private static let fileName = "incarnation"
    private static let digitCount = 32

    /// Reads the identity under `root`, or makes one: file and directory are synced before it is used.
    public static func open(root: String) throws(WALError) -> SiteIdentity {
        do throws(DiskError) {
            try makeDirectories(root)
            let path = root + "/" + fileName
            guard let text = try readSmallFile(path) else {
                return SiteIdentity(incarnation: try make(path, root), replaced: nil)
            }
            if isValid(text) { return SiteIdentity(incarnation: text, replaced: nil) }
            // Starting never refuses: the broken file is kept beside the new one.
            if rename(path, path + ".broken") != 0 { throw DiskError(.rename, path, errno: errno) }
            let reason = "\(path) held \(text.utf8.count) bytes that are no incarnation"
            return SiteIdentity(incarnation: try make(path, root), replaced: reason)
        } catch {
            throw .io(error)
        }
    }

    private static func isValid(_ text: String) -> Bool {
        text.utf8.count == digitCount
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func make(_ path: String, _ root: String) throws(DiskError) -> String {
        let incarnation = (0..<2).map { _ in hexadecimal(UInt64.random(in: .min ... .max)) }.joined()
        let temporary = path + ".tmp"
        try writeSynced(incarnation + "\n", to: temporary)
        if rename(temporary, path) != 0 { throw DiskError(.rename, path, errno: errno) }
        try syncDirectoryAt(root)
        return incarnation
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// The file's text without its last line end, nil when there is no such file. Files above 4 KiB are cut.
private func readSmallFile(_ path: String) throws(DiskError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else { throw DiskError(.open, path, errno: errno) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Block.sizeBytes)
    let got = read(descriptor, &bytes, bytes.count)
    guard got >= 0 else { throw DiskError(.read, path, errno: errno) }
    let text = bytes.prefix(got)
    return String(decoding: text.last == UInt8(ascii: "\n") ? text.dropLast() : text, as: UTF8.self)
}

private func writeSynced(_ text: String, to path: String) throws(DiskError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw DiskError(.create, path, errno: errno) }
    defer { close(descriptor) }
    var text = text
    let wrote = text.withUTF8 { write(descriptor, $0.baseAddress!, $0.count) }
    guard wrote == text.utf8.count else { throw DiskError(.write, path, errno: wrote < 0 ? errno : ENOSPC) }
    if fsync(descriptor) != 0 { throw DiskError(.sync, path, errno: errno) }
}
