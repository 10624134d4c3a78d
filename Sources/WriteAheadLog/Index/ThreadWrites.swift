/// Bytes the calling thread has handed to write(2) and its kin, as the kernel counts them (proc(5), `io`, `wchar`). SQLite
/// writes where we cannot count; its thread can be asked.
enum ThreadWrites {
    /// Nil where the kernel does not say.
    static func bytes() -> UInt64? {
        guard let text = (try? readSmallFile("/proc/thread-self/io")) ?? nil else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix("wchar: ") { return UInt64(line.dropFirst(7)) }
        return nil
    }
}
