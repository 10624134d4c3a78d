import ArgumentParser

/// The executable. Every command is a noun or verb of the product; what they do stands in `Commands`.
@main
struct Cairn: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cairn",
        abstract: "Carries terminal data from survey sites to Kafka consumers in the cloud.",
        version: Cairn.version,
        subcommands: [
            UpCommand.self, EdgeCommand.self, CloudCommand.self, SimulateCommand.self, TailCommand.self,
            WALCommand.self, KeyCommand.self, ConfigCommand.self, NullBrokerCommand.self,
        ])

    static let version = "0.1.0"
}
