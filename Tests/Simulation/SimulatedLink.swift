import Cloud
import Synchronization
import Uplink

/// The way from the gateway to the cloud nodes. It outlives restarts of both; requests and answers get lost on it.
final class SimulatedLink: Sendable {
    private struct Nodes: Sendable {
        var current: SimulatedCloud?
        /// A node that does not know that another has taken over.
        var zombie: SimulatedCloud?
    }

    private let nodes = Mutex(Nodes())
    private let random: SharedRandom

    init(random: SharedRandom) { self.random = random }

    func connect(_ current: SimulatedCloud, zombie: SimulatedCloud?) {
        nodes.withLock { $0 = Nodes(current: current, zombie: zombie) }
    }

    func carry(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        guard !random.chance(150) else { throw AnnounceError(.unreachable) }
        let nodes = nodes.withLock { $0 }
        let isAstray = random.chance(300)
        guard let node = isAstray ? nodes.zombie ?? nodes.current : nodes.current else {
            throw AnnounceError(.unreachable)
        }
        let report = await node.adopter.adopt(key: announcement.key)
        guard !random.chance(150) else { throw AnnounceError(.unreachable) }
        return AnnounceReply(adopted: [announcement.lane: report.adoptedSequence])
    }
}
