import Glibc
import Synchronization

/// The keys of a file that may change while the process runs: a rotation or a new site's key counts within seconds.
///
/// A file that cannot be read any more changes nothing: the last good keys go on, and ``problem`` says so.
public final class LiveKeyRing: Sendable {
    private struct State {
        var ring: KeyRing
        var stamp: KeyFile.Stamp?
        var lookedAtNs: UInt64
        var problem: KeyFileError?
    }

    public let path: String
    private let nowNs: @Sendable () -> UInt64
    private let state: Mutex<State>
    /// How old what is known of the file may be.
    private static let ageNsMax: UInt64 = 5_000_000_000
    /// The same when a key is missing: whoever sends objects with unknown keys makes us look no more often than this.
    private static let missingAgeNsMax: UInt64 = 1_000_000_000

    /// Errors: those of ``KeyFile/load(_:)``.
    public init(path: String, nowNs: (@Sendable () -> UInt64)? = nil) throws(KeyFileError) {
        let (ring, stamp) = try KeyFile.read(path)
        let clock = nowNs ?? Self.monotonicNs
        self.path = path
        self.nowNs = clock
        state = Mutex(State(ring: ring, stamp: stamp, lookedAtNs: clock()))
    }

    /// The keys as the file had them a few seconds ago.
    public var ring: KeyRing {
        refresh(ageNsMax: Self.ageNsMax)
        return state.withLock { $0.ring }
    }

    /// The same, with a look at the file if `id` is not among them.
    public func ring(with id: String) -> KeyRing {
        let ring = ring
        guard ring.secret(id) == nil else { return ring }
        refresh(ageNsMax: Self.missingAgeNsMax)
        return state.withLock { $0.ring }
    }

    /// Why the file as it is now is not in use; nil when it is.
    public var problem: KeyFileError? {
        refresh(ageNsMax: Self.ageNsMax)
        return state.withLock { $0.problem }
    }

    /// Reads the file while the lock is held: it is small, and nobody has a use for the old keys.
    private func refresh(ageNsMax: UInt64) {
        let now = nowNs()
        state.withLock { state in
            guard now >= state.lookedAtNs &+ ageNsMax else { return }
            state.lookedAtNs = now
            let stamp = KeyFile.stamp(path)
            if let stamp, stamp == state.stamp, state.problem == nil { return }
            do throws(KeyFileError) {
                let (ring, stamp) = try KeyFile.read(path)
                state.ring = ring
                state.stamp = stamp
                state.problem = nil
            } catch {
                state.problem = error
            }
        }
    }

    private static func monotonicNs() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
