import CMalloc

/// How the allocator treats what is freed.
enum FreedMemory {
    /// Keeps blocks of up to 8 MiB for the next use, and up to 64 MiB at the end of each heap, instead of giving them back to the kernel.
    ///
    /// A node that reads old data frees and takes blocks of megabytes all the time; fresh pages for each cost a third of its
    /// CPU (`docs/performance.md`).
    static func keep() {
        // Few heaps: what one keeps, another cannot use.
        mallopt(M_ARENA_MAX, 4)
        mallopt(M_MMAP_THRESHOLD, 8 << 20)
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
    }
}
