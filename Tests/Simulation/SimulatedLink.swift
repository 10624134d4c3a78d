import Cloud
import Synchronization
import Uplink

/// The way from gateways to the cloud nodes. It outlives restarts of both; requests and answers get lost on it.
final class SimulatedLink: Sendable {
    private struct Nodes: Sendable {
        var current: SimulatedCloud?
        /// A node that does not know that another has taken over.
        var zombie: SimulatedCloud?
    }

    private let nodes = Mutex(Nodes())
    private let random: SharedRandom
    private let lostPerMille = Mutex(150)

    init(random: SharedRandom) { self.random = random }

    func connect(_ current: SimulatedCloud, zombie: SimulatedCloud?) {
        nodes.withLock { $0 = Nodes(current: current, zombie: zombie) }
    }

    /// From now on everything arrives.
    func heal() { lostPerMille.withLock { $0 = 0 } }

    func carry(_ request: AnnounceRequest) async throws(AnnounceError) -> AnnounceReply {
        let lostPerMille = lostPerMille.withLock { $0 }
        guard !random.chance(lostPerMille) else { throw AnnounceError(.unreachable) }
        let nodes = nodes.withLock { $0 }
        let isAstray = random.chance(lostPerMille * 2)
        guard let node = isAstray ? nodes.zombie ?? nodes.current : nodes.current else {
            throw AnnounceError(.unreachable)
        }
        let answer = await answer(of: node, request)
        guard !random.chance(lostPerMille) else { throw AnnounceError(.unreachable) }
        return try answer.get()
    }

    private func answer(
        of node: SimulatedCloud, _ request: AnnounceRequest
    ) async -> Result<AnnounceReply, AnnounceError> {
        do throws(AnnounceError) { return .success(try await node.hear(request)) } catch { return .failure(error) }
    }
}
