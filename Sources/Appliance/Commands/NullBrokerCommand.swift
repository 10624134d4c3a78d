import ArgumentParser
import KafkaListener
import Logging
import NIOPosix

struct NullBrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "null-broker", abstract: "Acknowledges every produce and keeps nothing: the yardstick of the bench.",
        shouldDisplay: false)

    @Option(help: "host:port") var listen = "127.0.0.1:9099"

    func run() async throws {
        guard let address = try? SettingValue.address(listen) else {
            throw Complaint.say("--listen \(listen): expected host:port", Complaint.usage)
        }
        let logger = Logger(label: "null-broker") { LogLines(label: $0, level: .info, json: false) }
        _ = logger
        try await NullBroker.run(address, logger: logger)
    }
}
