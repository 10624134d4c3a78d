import NIOCore
import Synchronization

/// Which source sends to which mountpoint at this moment: at most one, and at most one more that waits to take over.
final class SourceRegistry: Sendable {
    enum Answer: Equatable {
        /// The promise succeeds: at once, or when a source that has just gone has been delivered to its end.
        case granted
        /// As `granted`; the source of `peer`, which sent nothing for so long, is closed.
        case takeover(peer: String, silence: TimeAmount)
        case taken
        /// The source that holds it cannot be read because its lane is full: the time to say "taken" has not come.
        case unavailable
    }
    private struct Entry {
        var holder: SourceLease
        var successor: (lease: SourceLease, granted: EventLoopPromise<Void>)?
    }
    private let entries = Mutex<[String: Entry]>([:])

    /// Formats that live sources told, for the sourcetable.
    var descriptions: [String: String] {
        entries.withLock { $0.mapValues(\.holder.description) }
    }

    /// `granted` is completed only if the answer is `.granted`.
    func claim(_ lease: SourceLease, silence: TimeAmount, now: NIODeadline, granted: EventLoopPromise<Void>) -> Answer {
        let (answer, former) = entries.withLock { entries -> (Answer, SourceLease?) in
            guard let entry = entries[lease.mountpoint] else {
                entries[lease.mountpoint] = Entry(holder: lease)
                return (.granted, nil)
            }
            let answer = Self.answer(entry, silence, now)
            switch answer {
            case .granted, .takeover: entries[lease.mountpoint]?.successor = (lease, granted)
            case .taken, .unavailable: break
            }
            return (answer, entry.holder)
        }
        switch answer {
        case .takeover: former?.close()
        case .granted where former == nil: granted.succeed()
        case .granted, .taken, .unavailable: break
        }
        return answer
    }

    private static func answer(_ entry: Entry, _ silence: TimeAmount, _ now: NIODeadline) -> Answer {
        let quiet = now - entry.holder.lastActive
        switch entry.holder.phase {
        case .paused: return .unavailable
        case .closed: return entry.successor == nil ? .granted : .unavailable
        case .reading where entry.successor != nil || quiet <= silence: return .taken
        case .reading: return .takeover(peer: entry.holder.peer, silence: quiet)
        }
    }

    /// The source is gone and delivered, or gives up waiting. A promise it waited for fails.
    func release(_ lease: SourceLease) {
        let completion = entries.withLock { entries -> (EventLoopPromise<Void>, isGranted: Bool)? in
            guard let entry = entries[lease.mountpoint] else { return nil }
            if entry.holder === lease {
                entries[lease.mountpoint] = entry.successor.map { Entry(holder: $0.lease) }
                return entry.successor.map { ($0.granted, true) }
            }
            guard let successor = entry.successor, successor.lease === lease else { return nil }
            entries[lease.mountpoint]?.successor = nil
            return (successor.granted, false)
        }
        guard let (promise, isGranted) = completion else { return }
        isGranted ? promise.succeed() : promise.fail(ChannelError.ioOnClosedChannel)
    }
}

/// One source's hold on a mountpoint. Its connection updates it; other connections look at it.
final class SourceLease: Sendable {
    let mountpoint: String
    /// What the source said about its format.
    let description: String
    /// Address and port of the other end.
    let peer: String
    let close: @Sendable () -> Void
    private let lastActiveNs: Atomic<UInt64>
    private let phaseValue = Atomic(Phase.reading.rawValue)

    enum Phase: UInt8 {
        case reading
        /// Its lane is full.
        case paused
        /// Its connection is gone; its last records are being stored.
        case closed
    }

    init(
        mountpoint: String, description: String, peer: String, now: NIODeadline,
        close: @escaping @Sendable () -> Void
    ) {
        self.mountpoint = mountpoint
        self.description = description
        self.peer = peer
        self.close = close
        lastActiveNs = Atomic(now.uptimeNanoseconds)
    }

    var lastActive: NIODeadline { .uptimeNanoseconds(lastActiveNs.load(ordering: .relaxed)) }
    var phase: Phase { Phase(rawValue: phaseValue.load(ordering: .relaxed)) ?? .reading }

    func active(_ now: NIODeadline) {
        lastActiveNs.store(now.uptimeNanoseconds, ordering: .relaxed)
    }

    func entered(_ phase: Phase) {
        phaseValue.store(phase.rawValue, ordering: .relaxed)
    }
}
