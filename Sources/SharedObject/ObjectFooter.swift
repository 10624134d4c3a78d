/// The index of one object: all that a cloud node must read to adopt it.
///
/// Runs are sorted by topic (byte order), partition and first local offset, and their bytes do not overlap.
public struct ObjectFooter: Sendable, Hashable {
    public var header: ObjectHeader
    public var runs: [Run]
    /// By rising LSN. Only site objects have any; an object may hold gaps alone.
    public var gaps: [ObjectGap]
    /// Size of the whole object, trailer included.
    public var objectSizeBytes: Int

    public init(header: ObjectHeader, runs: [Run], gaps: [ObjectGap] = [], objectSizeBytes: Int) {
        self.header = header
        self.runs = runs
        self.gaps = gaps
        self.objectSizeBytes = objectSizeBytes
    }

    public var recordCount: Int { runs.reduce(0) { $0 + $1.recordCount } }
    /// Bytes of record batches, without header, footer and trailer.
    public var runBytes: Int { runs.reduce(0) { $0 + $1.lengthBytes } }
}
