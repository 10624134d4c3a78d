import KafkaProtocol
import Ledger
import NIOCore

/// Creates topics that somebody named and that are not there.
struct TopicCreator: Sendable {
    let ledger: Ledger
    let world: CloudWorld
    let partitionsDefault: Int32

    /// Completes when every one has been tried; whoever asked looks again.
    func createMissing(_ names: [String], _ loop: any EventLoop) -> EventLoopFuture<Void> {
        let tries = names.map { name in
            ledger.submit(.createTopic(command(name, partitionsDefault, [:], validatesOnly: false)), on: loop)
                .map { _ in () }
        }
        return EventLoopFuture.andAllSucceed(tries, on: loop)
    }

    func command(
        _ name: String, _ partitions: Int32, _ configs: [String: String], validatesOnly: Bool
    ) -> CreateTopic {
        CreateTopic(
            name: name, id: world.uuid(), partitionCount: partitions, configs: configs, validateOnly: validatesOnly,
            nowMs: world.wallMs())
    }
}
