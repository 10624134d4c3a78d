import ArgumentParser
import Console
import Edge
import FoundationEssentials
import Logging
import ObjectStore
import ServiceLifecycle

struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge", abstract: "A site's gateway: takes terminal data into the log and uploads it.")

    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let reader = try await options.reader(EdgeKeys.all(lanes: await options.lanes()))
        let settings = EdgeSettings(reader)
        try SettingsOptions.finish(reader)
        let logger = RoleRunner.logger(settings.log, label: "edge")
        let role: EdgeRole
        let clock = SystemWallClock()
        do {
            role = try await EdgeRole.open(
                settings, store: try Self.store(settings, clock, logger), announcer: nil, clock: clock, logger: logger)
        } catch {
            throw Complaint.say("\(settings.dataDirectory): \(error)", Complaint.unavailable)
        }
        let health = EdgeHealth(role)
        let watch = HealthWatch.of(role, health, logger: logger)
        var services: [any Service] = [role]
        if let http = settings.http {
            services.append(
                ConsoleServer(
                    host: http.host, port: http.port, content: EdgeConsole.content(role, health), logger: logger))
        }
        // The first to be stopped: it says so.
        services.append(watch)
        try await RoleRunner.run(services, logger: logger)
    }

    private static func store(
        _ settings: EdgeSettings, _ clock: SystemWallClock, _ logger: Logger
    ) throws -> OpenedStore? {
        guard let store = settings.store else { return nil }
        guard let ahead = settings.presignAhead, case .s3(let s3) = store else {
            return try OpenedStore(
                store, progressTimeout: settings.uplink.pacing.progressTimeout,
                journal: MultipartJournalFile(path: settings.dataDirectory + "/uploads.json"), clock: clock)
        }
        try FileManager.default.createDirectory(atPath: settings.dataDirectory, withIntermediateDirectories: true)
        let grants = GrantKeeper(directory: settings.dataDirectory, ahead: ahead, logger: logger)
        return try OpenedStore(
            s3, grants: grants, progressTimeout: settings.uplink.pacing.progressTimeout, clock: clock)
    }
}
