/// The index file as it was found when the lane was opened.
struct OpenedIndex {
    var store: IndexStore?
    var indexedThrough: UInt64 = 0

    /// Losses of one start that are looked up.
    private static let gapsMax = 4096

    /// The file, opened or begun; for ``knownDurable(_:)`` before the log is recovered, and for `init` after it.
    typealias Found = Result<IndexSchema.Opened, SQLiteConnection.Failure>

    static func find(_ directory: String) -> Found {
        Result { () throws(SQLiteConnection.Failure) in try IndexSchema.open(directory: directory) }
    }

    /// What is indexed had been durable before: the highest such LSN, if the file belongs to `segments`, else 0.
    static func knownDurable(_ found: Found, _ segments: [(sequence: UInt64, salt: UInt64)]) -> UInt64 {
        guard case .success(let opened) = found, opened.rebuildReason == nil else { return 0 }
        let store = IndexStore(opened.connection)
        guard (try? store.matches(segments)) == true else { return 0 }
        return (try? store.indexedThrough()) ?? 0
    }

    /// Takes the file up; says in the report what there is to do. When the file knows more than the
    /// segments do, the newest segment has been lost: the lane then goes on after what the file knows.
    init<D: Disk>(
        _ found: Found, _ directory: String, _ core: inout LaneCore<D>, _ report: inout RecoveryReport
    ) {
        let first = core.segments.first?.firstLSN ?? core.durableLSN + 1
        do throws(SQLiteConnection.Failure) {
            var opened = try found.get()
            var store = IndexStore(opened.connection)
            let segments = core.segments.filter(\.isReadable).map { (sequence: $0.sequence, salt: $0.salt) }
            if opened.rebuildReason == nil, try !store.belongs(to: segments) {
                let path = directory + "/" + IndexSchema.fileName
                IndexSchema.putAside(path)
                opened = IndexSchema.Opened(
                    connection: try IndexSchema.begin(path), rebuildReason: "the file belongs to another log")
                store = IndexStore(opened.connection)
            }
            self.store = store
            let known = try store.indexedThrough()
            // Offsets in damaged frames behind the newest checkpoint were given out, and nothing else says so.
            for gap in report.gaps.prefix(Self.gapsMax) where gap.firstLSN <= known {
                core.goOn(afterOffsets: try store.endOffsets(from: gap.firstLSN, through: gap.lastLSN))
            }
            if known > core.durableLSN {
                let lost = LSNGap(firstLSN: core.durableLSN + 1, lastLSN: known)
                core.goOn(after: known, offsets: try store.endOffsets(), upload: try store.lastUpload())
                report.gaps.append(lost)
                report.durableLSN = core.durableLSN
            }
            indexedThrough = max(known, first - 1)
            if let reason = opened.rebuildReason, core.durableLSN > 0 {
                report.index = .rebuilding(reason: reason)
            } else if indexedThrough < core.durableLSN {
                report.index = .stale(indexedThroughLSN: indexedThrough)
            }
        } catch {
            // Without an index file the lane still takes and uploads data; the indexing thread tries again.
            indexedThrough = first - 1
            report.index = .rebuilding(reason: error.message)
        }
    }
}

extension LaneCore {
    /// Takes up after LSNs and offsets that are known to have been given out although their segment is lost.
    mutating func goOn(
        after lsn: UInt64, offsets: [(name: PartitionName, endOffset: Int64)], upload: UploadedMark?
    ) {
        alarms.lostLSNs += lsn - durableLSN
        state.nextLSN = lsn + 1
        state.lost(through: lsn)
        mustRotate = true
        goOn(afterOffsets: offsets)
        if let upload { state.uploads.apply(uploaded: upload.sequence, lastLSN: upload.lastLSN) }
    }

    /// No offset below these is given out again.
    mutating func goOn(afterOffsets offsets: [(name: PartitionName, endOffset: Int64)]) {
        for (name, endOffset) in offsets {
            let place = state.partitions.place(making: name)
            state.partitions[place].nextOffset = max(state.partitions[place].nextOffset, endOffset)
        }
    }
}
