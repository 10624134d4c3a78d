/// Remembers, in `<root>/clock`, what was known of the clock on each run of the machine, and the newest time that was
/// believed.
///
/// - Bytes: text. First line `clock 1`, then `believed <ms since 1970>`, then for each run of the machine on which the time
///   was known, oldest first, at most 64: `run <its first boot epoch> <wall time, ms> <monotonic time, ns>`, a reading of
///   both clocks at one moment.
/// - The file is a memory, not a truth: without it times that were stamped by an unknown clock are marked, not repaired.
public struct SiteClocks: Sendable {
    /// No clock is taken for right that tells less; nil: nothing was ever believed.
    public private(set) var believedMs: Int64?
    /// What kept the file from being read or written.
    public private(set) var trouble: String?
    private var runs: [Run] = []
    private let path: String
    private let boots: SiteBoots

    private struct Run: Equatable {
        var firstEpoch: UInt64
        var reading: ClockReading
    }

    private static let runsMax = 64
    private static let fileName = "clock"
    /// The newest time is written down this often.
    private static let saveEveryMs: Int64 = 3_600_000

    public static func open(root: String, boots: SiteBoots) -> SiteClocks {
        var clocks = SiteClocks(path: root + "/" + fileName, boots: boots)
        clocks.load()
        return clocks
    }

    private init(path: String, boots: SiteBoots) {
        self.path = path
        self.boots = boots
    }

    /// A believed reading of the clocks of this run of the machine. Writes the file when that is news; blocks while it does.
    public mutating func believed(_ reading: ClockReading) {
        let newest = max(believedMs ?? .min, reading.wallMs)
        var isNews = newest - (believedMs ?? 0) >= Self.saveEveryMs
        if let run = boots.run(of: boots.epoch) {
            let place = runs.firstIndex { $0.firstEpoch == run }
            let moved = place.map { (runs[$0].reading.offsetMs &- reading.offsetMs).magnitude }
            if moved ?? .max > UInt64(ClockReading.stepMs) {
                if let place { runs.remove(at: place) }
                runs.append(Run(firstEpoch: run, reading: reading))
                runs.removeFirst(max(0, runs.count - Self.runsMax))
                isNews = true
            }
        }
        guard isNews else { return }
        believedMs = newest
        save()
    }

    /// A believed reading of the clock that a start of the log was stamped by; nil where the time was never known on that
    /// run of the machine.
    public func reading(ofBoot epoch: UInt64) -> ClockReading? {
        guard let run = boots.run(of: epoch) else { return nil }
        return runs.last { $0.firstEpoch == run }?.reading
    }

    private mutating func load() {
        do throws(DiskError) {
            guard let text = try readSmallFile(path) else { return }
            if !parse(text) { trouble = "\(path): \(text.utf8.count) bytes that are no memory of clocks" }
        } catch {
            trouble = error.description
        }
    }

    private mutating func parse(_ text: String) -> Bool {
        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        guard lines.count >= 2, lines[0] == ["clock", "1"], lines[1].count == 2, lines[1][0] == "believed",
            let believed = Int64(lines[1][1]), believed > 0
        else { return false }
        var found: [Run] = []
        for line in lines.dropFirst(2) {
            guard line.count == 4, line[0] == "run", let first = UInt64(line[1]), first <= BootEpoch.max,
                let wallMs = Int64(line[2]), wallMs > 0, let monotonicNs = UInt64(line[3])
            else { return false }
            found.append(Run(firstEpoch: first, reading: ClockReading(wallMs: wallMs, monotonicNs: monotonicNs)))
        }
        (believedMs, runs) = (believed, found)
        return true
    }

    private mutating func save() {
        let lines =
            ["clock 1", "believed \(believedMs ?? 0)"]
            + runs.map { "run \($0.firstEpoch) \($0.reading.wallMs) \($0.reading.monotonicNs)" }
        do throws(DiskError) {
            try replaceSynced(path, with: lines.joined(separator: "\n") + "\n")
            trouble = nil
        } catch {
            trouble = error.description
        }
    }
}
