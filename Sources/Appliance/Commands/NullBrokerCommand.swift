import ArgumentParser
import KafkaListener
import NIOPosix
import ServiceLifecycle

struct NullBrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "null-broker",
        abstract: "Acknowledges every produce and keeps nothing: the yardstick of the bench.",
        shouldDisplay: false)

    @Option(help: "host:port") var listen = "127.0.0.1:9099"
    @Option(help: "partitions of every topic") var partitions: Int32 = 4

    func run() async throws {
        guard let address = try? SettingValue.address(listen) else {
            throw Complaint.say("--listen \(listen): expected host:port", Complaint.usage)
        }
        guard (1...100_000).contains(partitions) else {
            throw Complaint.say("--partitions \(partitions): expected 1 to 100000", Complaint.usage)
        }
        try await RoleRunner.run(
            [NullBroker(address: address, partitionCount: partitions)],
            logger: RoleRunner.plainLogger("null-broker"))
    }
}

/// The null broker as a service.
private struct NullBroker: Service {
    let address: HostPort
    let partitionCount: Int32

    func run() async throws {
        let listener = KafkaListener(
            configuration: KafkaListenerConfiguration(host: address.host, port: address.port),
            service: NullKafkaService(partitionCount: partitionCount),
            group: MultiThreadedEventLoopGroup.singleton)
        _ = try await Binding.bind(address, "--listen") { try await listener.start() }
        try? await gracefulShutdown()
        await listener.shutdown()
    }
}
