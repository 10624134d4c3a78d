package import Glibc
import SmallFiles

/// The file's text without its last line end, nil when there is no such file. Files above 8 KiB are cut.
func readSmallFile(_ path: String) throws(DiskError) -> String? {
    let text: [UInt8]
    do throws(SmallFile.Failure) {
        text = try SmallFile.beginning(of: path, bytesMax: 8192)
    } catch {
        switch error {
        case .open(ENOENT): return nil
        case .open(let code): throw DiskError(.open, path, errno: code)
        case .read(let code): throw DiskError(.read, path, errno: code)
        case .tooLarge: preconditionFailure("\(path): a beginning is never too large")
        }
    }
    return String(decoding: text.last == UInt8(ascii: "\n") ? text.dropLast() : text, as: UTF8.self)
}

/// Puts `text` in the place of the file: afterwards the old or the new one is there whole, whenever power goes.
package func replaceSynced(_ path: String, with text: String, mode: mode_t = 0o640) throws(DiskError) {
    let temporary = path + ".tmp"
    try writeSynced(text, to: temporary, mode)
    if rename(temporary, path) != 0 { throw DiskError(.rename, path, errno: errno) }
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    try syncDirectoryAt(parent.isEmpty ? "/" : parent)
}

private func writeSynced(_ text: String, to path: String, _ mode: mode_t) throws(DiskError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw DiskError(.create, path, errno: errno) }
    defer { close(descriptor) }
    var text = text
    let wrote = text.withUTF8 { write(descriptor, $0.baseAddress!, $0.count) }
    guard wrote == text.utf8.count else { throw DiskError(.write, path, errno: wrote < 0 ? errno : ENOSPC) }
    if fsync(descriptor) != 0 { throw DiskError(.sync, path, errno: errno) }
}
