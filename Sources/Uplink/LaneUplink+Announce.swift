import Logging
import ObjectStore
import SharedObject
import Synchronization
import WriteAheadLog

extension LaneUplink {
    /// Obeys one action of ``LaneAnnounce``.
    public func announceStep() async -> Pause {
        guard let announcer = parts.announcer else { return .until(nil, data: true) }
        switch announceAction {
        case .wait: return .until(nil, data: true)
        case .rest:
            if let next = announcing.timer(now: now) { announceAction = next }
            if case .rest(let until) = announceAction { return .until(start.advanced(by: until), data: false) }
            return .none
        case .announce(let announcement):
            do {
                heard(try await announcer.announce(announcement))
            } catch {
                unheard(error)
            }
            return .none
        }
    }

    private func heard(_ reply: AnnounceReply) {
        let adopted = reply.adopted[builder.lane]
        announceAction = announcing.announced(adoptedThrough: adopted, now: now, using: &random)
        let next = upload.nextSequence - min(upload.nextSequence, builder.identity.base(lane: builder.lane))
        let ahead = adopted.map { $0 >= max(1, next) } ?? false
        let alarm =
            ahead
            ? "the cloud has adopted object \(adopted ?? 0), this log is at \(next): rolled back or cloned"
            : nil
        if let alarm, status.announceAlarm == nil {
            parts.logger.error("\(alarm)", metadata: ["lane": "\(builder.lane)"])
            parts.onConflict?(.contested(alarm))
        }
        shared.withLock { status in
            status.adoptedThrough = announcing.adoptedThrough
            status.isAnnouncing = announcing.isPending
            status.lastAnnounceError = nil
            status.announceAlarm = alarm
        }
        if !reply.directives.isEmpty { parts.onDirectives?(reply.directives) }
    }

    private func unheard(_ error: AnnounceError) {
        announceAction = announcing.failed(retryAfter: error.retryAfter, now: now, using: &random)
        let count = announcing.attempts
        if count & (count - 1) == 0, !Task.isCancelled {
            let metadata: Logger.Metadata = ["lane": "\(builder.lane)", "failures": "\(count)"]
            parts.logger.warning("\(error)", metadata: metadata)
        }
        shared.withLock { status in
            status.isAnnouncing = true
            status.lastAnnounceError = error.description
            switch error.kind {
            case .refused, .contested, .untrusted: status.announceAlarm = error.description
            case .unreachable, .busy, .badReply, .challenged: break
            }
        }
        if case .contested = error.kind { parts.onConflict?(.contested(error.description)) }
    }
}

/// Somebody else writes, or has written, under this incarnation.
public enum UplinkConflict: Sendable, Equatable {
    /// The cloud says so.
    case contested(String)
    /// Another object stands under the name of this plan of the log.
    case foreign(lane: String, plan: UInt64, String)

    public var reason: String {
        switch self {
        case .contested(let reason), .foreign(_, _, let reason): reason
        }
    }
}

extension SiteObjectBuilder {
    /// Nil for an object of a former era: the cloud finds it by listing.
    func announcement(of plan: UploadPlan) -> Announcement? {
        let place = identity.place(lane: lane, sequence: plan.sequence)
        guard place.incarnation == identity.incarnation else { return nil }
        return Announcement(
            site: identity.site, incarnation: identity.incarnation, lane: lane, sequence: place.sequence,
            key: key(sequence: plan.sequence), firstLSN: plan.firstLSN, lastLSN: plan.lastLSN)
    }
}
