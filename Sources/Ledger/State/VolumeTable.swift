import KafkaProtocol

/// Volumes: disks on which a node keeps acknowledged batches until an object holds them.
struct VolumeTable: Sendable {
    var all: [KafkaUUID: VolumeState] = [:]
    private var ids: [UInt16: KafkaUUID] = [:]

    func id(_ number: UInt16) -> KafkaUUID? { ids[number] }

    mutating func set(_ id: KafkaUUID, _ state: VolumeState) {
        all[id] = state
        ids[state.number] = id
    }
}

struct VolumeState: Sendable, Equatable {
    /// Small, for packed extents; never given twice.
    var number: UInt16
    /// Who may commit to it.
    var nodeID: Int32
    /// The last LSN committed.
    var lastLSN: UInt64 = 0
    /// What the last commit was answered, for its repetition.
    var lastAnswer: [RunOutcome] = []
}
