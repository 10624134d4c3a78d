import Glibc
import NIOCore
import Sealing

/// Segments of a lane's directory, looked at without changing anything; the lane may be in use.
struct LaneWalk {
    let disk: LocalDisk
    let window: ScanWindow<LocalDisk>
    private(set) var segments: [LiveSegment<LocalFile>] = []
    private(set) var spareCount = 0
    private(set) var notes: [String] = []
    /// Segments that only a newer program understands, or whose key is not here.
    private(set) var untouchable: UntouchableSegments?

    init(directory: String, keys: KeyRing?) throws(WALError) {
        guard access(directory, R_OK) == 0 else { throw .io(DiskError(.list, directory, errno: errno)) }
        let entries: [DiskEntry]
        do throws(DiskError) {
            disk = try LocalDisk(reading: directory)
            entries = try disk.list()
        } catch {
            throw .io(error)
        }
        window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        // A copy of a lane may be called anything.
        let unlocking = LogUnlocking(ring: keys, lane: nil)
        var search = SegmentSearch(disk: disk, unlocking: unlocking, budgetBytes: .max)
        for entry in entries {
            if SegmentName.isSpare(entry.name) { spareCount += 1 }
            guard let sequence = SegmentName.sequence(entry.name) else { continue }
            do throws(DiskError) {
                switch try search.identify(entry, sequence) {
                case .segment(var segment):
                    if !segment.hasHeader { segment.bootEpoch = segments.last?.bootEpoch ?? 0 }
                    segments.append(segment)
                case .untouchable(let reason):
                    var known =
                        untouchable ?? UntouchableSegments(directory: directory, sequences: [], reason: reason)
                    known.sequences.append(sequence)
                    untouchable = known
                case nil: break
                }
            } catch {
                notes.append(error.description)
            }
        }
        segments.takeHeadCopies(entries, disk)
    }

    /// Reads the newest segment to learn what has been given up: then ``walk(wantsPayload:knownDurable:_:)`` takes nothing for data that
    /// the log has declared dead. Returns the gaps that have records.
    mutating func cutGivenUp() -> GapLedger {
        let gaps = segments.newestState(disk).gaps
        segments.cutBeforeDropped(gaps)
        return gaps
    }

    /// Hands every item of the readable segments to `body`, with the segment's place.
    ///
    /// - Parameter knownDurable: groups that begin up to here had been written to their end, so a bad frame in them is damage.
    func walk(
        wantsPayload: Bool = false, knownDurable: UInt64 = 0,
        _ body: (Int, SegmentScan<LocalDisk>.Item) throws(WALError) -> Void
    ) throws(WALError) {
        let readable = segments.indices.filter { segments[$0].isReadable }
        var expected = readable.first.map { segments[$0].firstLSN }
        for (step, place) in readable.enumerated() {
            let segment = segments[place]
            let next = step + 1 < readable.count ? segments[readable[step + 1]].firstLSN : .max
            let limit = min(segment.cutLSN, next)
            var scan = SegmentScan(
                window: window, segment: segment, endBytes: segment.sizeBytes, expectedLSN: expected, limitLSN: limit,
                wantsPayload: wantsPayload)
            scan.knownDurableLSN = knownDurable
            while let item = try nextItem(&scan) { try body(place, item) }
            expected = scan.expectedLSN ?? expected
        }
    }

    private func nextItem(_ scan: inout SegmentScan<LocalDisk>) throws(WALError) -> SegmentScan<LocalDisk>.Item? {
        do throws(DiskError) { return try scan.next() } catch { throw .io(error) }
    }
}
