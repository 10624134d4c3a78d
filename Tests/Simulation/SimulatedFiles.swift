import Synchronization
import WriteAheadLog

@testable import Uplink

/// The small files of a gateway's data directory, each written as a whole: they survive restarts and are copied with the disk.
final class SimulatedFiles: PacerStateStore {
    struct Contents: Sendable {
        /// `installation` and its copy, as text.
        var installation: String?
        var installationCopy: String?
        /// `uplink.json`.
        var pacer: PacerState?
        /// On which starts of which lane the time was known.
        var knownTimes: [String: Set<UInt64>] = [:]
    }

    private let state: Mutex<Contents>
    private let failing = Mutex(0)

    init(_ contents: Contents = Contents()) { state = Mutex(contents) }

    var contents: Contents { state.withLock { $0 } }
    var installation: String? { state.withLock { $0.installation } }

    /// So many writes of the installation fail from now on.
    func failWrites(_ count: Int) { failing.withLock { $0 = count } }

    /// Durable when it returns true.
    func replace(installation text: String) -> Bool {
        let isFailing = failing.withLock { failing in
            guard failing > 0 else { return false }
            failing -= 1
            return true
        }
        guard !isFailing else { return false }
        state.withLock { contents in
            contents.installation = text
            contents.installationCopy = text
        }
        return true
    }

    /// Rot: one bit of one of the installation's two files is another one.
    func flipInstallation(using random: inout SeededRandom) {
        let file: WritableKeyPath<Contents, String?> = random.chance(500) ? \.installation : \.installationCopy
        guard let text = contents[keyPath: file] else { return }
        var bytes = Array(text.utf8)
        let place = Int.random(in: bytes.indices, using: &random)
        bytes[place] ^= 1 << UInt8.random(in: 0..<7, using: &random)
        state.withLock { contents in
            // One of the two is whole: a start writes both anew before the other can rot.
            guard let installation = contents.installation, installation == contents.installationCopy else { return }
            contents[keyPath: file] = String(decoding: bytes, as: UTF8.self)
        }
    }

    func load() -> PacerState? { state.withLock { $0.pacer } }
    func save(_ new: PacerState) { state.withLock { $0.pacer = new } }

    func noteTime(_ epoch: UInt64, of lane: String) {
        state.withLock { _ = $0.knownTimes[lane, default: []].insert(epoch) }
    }

    func reading(ofBoot epoch: UInt64, of lane: String) -> ClockReading? {
        let isKnown = state.withLock { $0.knownTimes[lane]?.contains(epoch) ?? false }
        return isKnown ? ClockReading(wallMs: SimulatedTime.beginMs, monotonicNs: 0) : nil
    }
}
