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
            SiteCommand.self, GapsCommand.self, StatusCommand.self, DoctorCommand.self, WALCommand.self,
            UplinkCommand.self, KeyCommand.self, FlashCommand.self, ConfigCommand.self, NullBrokerCommand.self,
        ])

    static let version = "0.1.0"

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let words = CommandLine.arguments.dropFirst().prefix(2)
            // Scripts rely on it that 2 says "no answer" there, whatever the reason.
            if words == ["wal", "verify"] || words == ["wal", "salvage"], exitCode(for: error) == .validationFailure {
                FileHandleLine.write(fullMessage(for: error) + "\n")
                exit(withError: WALCommand.unreadable)
            }
            exit(withError: error)
        }
    }
}
