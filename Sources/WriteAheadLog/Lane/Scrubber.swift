/// Reads closed segments again on a thread of its own, slowly, and alarms about rot before a reader meets it.
///
/// It never waits for the writer nor the writer for it: it works on the published view, with descriptors of its own. What it
/// finds is counted like what readers find, and readers pass over it as a gap.
final class Scrubber: Sendable {
    private struct State {
        var isClosing = false
    }

    private let disk: LocalDisk
    private let settings: LaneConfiguration.Scrub
    private let published: PublishedLane
    private let monitor = Monitor(State())
    /// Damage counts when it is still there after this time: an error that passes is none.
    private static let secondLookNs: UInt64 = 1_000_000_000

    init(disk: LocalDisk, settings: LaneConfiguration.Scrub, published: PublishedLane) {
        self.disk = disk
        self.settings = settings
        self.published = published
    }

    func close() {
        monitor.change { state in
            state.isClosing = true
            return ((), wake: true)
        }
    }

    /// The body of the thread; returns after `close`.
    func run() {
        var schedule = ScrubSchedule(settings)
        while true {
            let view = published.view
            let closed = view.segments.dropLast().filter(\.isReadable).map(\.sequence)
            let action = schedule.next(closed: closed, nowNs: monotonicNow())
            publish(rounds: schedule.rounds, segment: nil)
            switch action {
            case .sleep(let untilNs): if !sleep(untilNs: untilNs) { return }
            case .check(let sequence):
                publish(rounds: schedule.rounds, segment: sequence)
                guard check(sequence, in: view, &schedule) else { return }
                schedule.checked(segment: sequence)
            }
        }
    }

    /// False when closing.
    private func check(_ sequence: UInt64, in view: LogView<LocalFile>, _ schedule: inout ScrubSchedule) -> Bool {
        guard let place = view.segments.firstIndex(where: { $0.sequence == sequence }) else { return true }
        let check = SegmentCheck(
            disk: disk, segment: view.segments[place], limitLSN: view.limitLSN(of: place),
            hasNeighbour: view.segments.dropFirst(place + 1).first?.sequence == sequence + 1)
        for attempt in 1...2 {
            let finding: SegmentCheck<LocalDisk>.Finding?
            do throws(DiskError) {
                finding = try check.run { bytes in pace(bytes, &schedule) }
            } catch {
                // The file cannot be opened any more: freed meanwhile, or readers will say so.
                return true
            }
            guard let finding else { return false }
            if finding.isClean { return true }
            // Freed and written anew while it was read? The name goes before the bytes change.
            guard (try? disk.open(SegmentName.live(sequence))) != nil else { return true }
            if attempt == 2 {
                report(finding, sequence)
            } else if !sleep(untilNs: monotonicNow() + Self.secondLookNs) {
                return false
            }
        }
        return true
    }

    private func pace(_ bytes: Int, _ schedule: inout ScrubSchedule) -> Bool {
        let untilNs = schedule.read(bytes: bytes, nowNs: monotonicNow())
        published.withState { $0.status.scrub.readBytes += UInt64(bytes) }
        return sleep(untilNs: untilNs)
    }

    /// False when closing.
    private func sleep(untilNs: UInt64) -> Bool {
        monitor.wait { state in
            if state.isClosing { return .done(false) }
            return monotonicNow() >= untilNs ? .done(true) : .wait(untilNs: untilNs)
        }
    }

    private func report(_ finding: SegmentCheck<LocalDisk>.Finding, _ sequence: UInt64) {
        for range in finding.quarantined { published.list(range) }
        var news = 0
        for gap in finding.gaps where published.noteLoss(gap) { news += 1 }
        let heads = finding.isHeadDamaged ? published.noteDamagedHead(sequence) : false
        published.withState { state in
            state.status.scrub.damagedRanges += UInt64(news) + (heads ? 1 : 0)
            guard news > 0 || heads else { return }
            let lost = finding.gaps.map { "LSN \($0.firstLSN) to \($0.lastLSN)" }.joined(separator: ", ")
            state.status.alarms.lastMessage =
                "segment \(sequence) is damaged on the disk: "
                + (finding.gaps.isEmpty ? "its header block, nothing is lost" : lost + " lost")
        }
    }

    private func publish(rounds: UInt64, segment: UInt64?) {
        published.withState { state in
            state.status.scrub.rounds = rounds
            state.status.scrub.segment = segment
        }
    }
}
