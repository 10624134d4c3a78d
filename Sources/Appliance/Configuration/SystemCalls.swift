import Glibc

/// `rename(2)`.
func systemRename(_ from: String, _ to: String) -> Int32 { rename(from, to) }

/// `write(2)`, tried again when a signal came between.
func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    while true {
        let written = write(descriptor, bytes.baseAddress, bytes.count)
        if written < 0, errno == EINTR { continue }
        return written
    }
}

/// Nanoseconds of a clock that never steps: for intervals.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Milliseconds since 1970-01-01 UTC by this machine's clock: data, never an interval.
func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// `realpath(3)`; nil when nothing is there.
func systemRealPath(_ path: String) -> String? {
    guard let found = realpath(path, nil) else { return nil }
    defer { free(found) }
    return String(cString: found)
}
