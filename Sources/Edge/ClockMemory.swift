import Synchronization
public import WriteAheadLog

/// The clock of a gateway as far as it is known, for those who come later: `SiteClocks` with a lock and the clock itself.
public final class ClockMemory: Sendable {
    private let clocks: Mutex<SiteClocks>
    private let clock: any WallClock

    init(root: String, boots: SiteBoots, clock: any WallClock) {
        clocks = Mutex(SiteClocks.open(root: root, boots: boots))
        self.clock = clock
    }

    /// The newest time that was believed, within an hour.
    public var believedMs: Int64? { clocks.withLock { $0.believedMs } }
    public var trouble: String? { clocks.withLock { $0.trouble } }

    /// Remembers a reading that is believed. Seldom writes a file; blocks while it does.
    func note(_ reading: WallReading) {
        guard reading.quality.isBelieved else { return }
        clocks.withLock { $0.believed(ClockReading(wallMs: reading.wallMs, monotonicNs: reading.monotonicNs)) }
    }

    /// A believed reading of the clock by which a start of the log stamped; nil while the time was never known on that run
    /// of the machine.
    public func reading(ofBoot epoch: UInt64) -> ClockReading? {
        note(clock.read())
        return clocks.withLock { $0.reading(ofBoot: epoch) }
    }
}
