package import Glibc

/// The file's text without its last line end, nil when there is no such file. Files above 8 KiB are cut.
func readSmallFile(_ path: String) throws(DiskError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else { throw DiskError(.open, path, errno: errno) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 8192)
    var got = 0
    while got < bytes.count {
        let room = bytes.count - got
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + got, room) }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw DiskError(.read, path, errno: errno) }
        if count == 0 { break }
        got += count
    }
    let text = bytes.prefix(got)
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
