import Synchronization

/// The cloud node that answers now; the uplink keeps its address over restarts of the node.
final class CloudBox: Sendable {
    private let held = Mutex<SimulatedCloud?>(nil)
    var current: SimulatedCloud? { held.withLock { $0 } }
    func set(_ cloud: SimulatedCloud) { held.withLock { $0 = cloud } }
}
