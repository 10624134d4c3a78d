import ArgumentParser
import Console
import Ledger
import ObjectStore
import ServiceLifecycle

struct CloudCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cloud", abstract: "A cloud node: serves Kafka clients from shared objects.",
        discussion: """
            'cairn cloud --config cloud.yaml' is 'cairn cloud serve --config cloud.yaml'; 'cairn config example cloud' prints every setting.
            """,
        subcommands: [ServeCloudCommand.self, AdoptVolumeCommand.self], defaultSubcommand: ServeCloudCommand.self)
}

/// What `cairn cloud` does without another word.
struct ServeCloudCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serves until it is told to stop; the default.")

    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let reader = try await options.reader(CloudKeys.all)
        let settings = CloudSettings(reader)
        try SettingsOptions.finish(reader)
        guard let storeSettings = settings.store else { throw Complaint.badConfiguration }
        let logger = RoleRunner.logger(settings.log, label: "cloud")
        let role: CloudRole
        do {
            role = try await CloudRole.open(settings, store: try OpenedStore(storeSettings), logger: logger)
        } catch {
            throw Complaint.say("\(settings.dataDirectory): \(error)", Complaint.unavailable)
        }
        var services: [any Service] = [role]
        if let http = settings.http {
            services.append(try CloudConsole.server(role, at: http, logger: logger))
        }
        services.append(HealthWatch.of(role, logger: logger))
        try await RoleRunner.run(services, logger: logger)
    }
}
