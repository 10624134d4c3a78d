import Logging
import ServiceLifecycle
import UnixSignals

/// Runs services until a signal, in the order given, and ends them in the opposite one.
enum RoleRunner {
    static func run(_ services: [any Service], logger: Logger) async throws {
        var configuration = ServiceGroupConfiguration(
            services: services.map { service in
                ServiceGroupConfiguration.ServiceConfiguration(
                    service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(20)
        configuration.maximumCancellationDuration = .seconds(5)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let failure as Binding.Failure {
            throw Complaint.say(failure.description, Complaint.unavailable)
        } catch {
            throw Complaint.say("\(error)")
        }
    }

    static func plainLogger(_ label: String) -> Logger {
        Logger(label: label) { LogLines(label: $0, level: .info, json: false) }
    }

    static func logger(_ settings: LogSettings, label: String) -> Logger {
        let level = Logger.Level(rawValue: settings.level) ?? .info
        return Logger(label: label) { LogLines(label: $0, level: level, json: settings.json) }
    }
}
