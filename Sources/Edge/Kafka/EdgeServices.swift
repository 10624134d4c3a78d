import GroupCoordination
import KafkaListener
import NIOPosix

/// What the request handlers of a gateway share.
struct EdgeServices: Sendable {
    let configuration: EdgeKafkaConfiguration
    let clusterID: String
    let lanes: [Lane]
    let topics: LocalTopics
    let sources: SourceLanes
    let clock: any WallClock
    let producerIDs: ProducerIDs
    let watchers: PartitionWatchers
    let mailboxes: LoopMailboxes
    let timers = LoopTimers()
    /// Where reads block. Few threads: local readers are few, and must not take the disk from the writers.
    let pool: NIOThreadPool
    let fetchBudget: ByteBudget
    let groups: GroupHandlers
}
