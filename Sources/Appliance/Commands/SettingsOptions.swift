import ArgumentParser
import Foundation

/// The options of every command that reads settings: a file, and settings as flags.
struct SettingsOptions: ParsableArguments {
    @Option(name: .long, help: "YAML file with settings; 'cairn config example ROLE' prints one.")
    var config: String?

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Settings as flags, for example --kafka-listen 0.0.0.0:9092.", valueName: "setting"))
    var settings: [String] = []

    init() {}

    /// For commands that name the file in another way.
    init(file: String, flags: [String]) {
        config = file
        settings = flags
    }

    /// - Throws: ``ExitCode`` 78 after it said what is wrong.
    func reader(_ keys: [SettingKey]) async throws -> SettingsReader {
        do {
            return try await SettingsReader(
                keys: keys, file: config, flags: settings, environment: ProcessInfo.processInfo.environment)
        } catch let problems as SettingProblems {
            throw Complaint.configuration(problems)
        }
    }

    /// The names of the gateway's lanes, whose settings are then known.
    func lanes(prefix: String = "") async -> [String] {
        await SettingsReader.laneNames(
            prefix: prefix, file: config, flags: settings, environment: ProcessInfo.processInfo.environment)
    }

    /// Ends the reading: what was noted is said, and the command ends with 78.
    static func finish(_ reader: SettingsReader) throws {
        do {
            try reader.finish()
        } catch {
            throw Complaint.configuration(error)
        }
    }
}

/// Ends a command with a sentence on standard error and an exit code of sysexits.h.
enum Complaint {
    static let usage = ExitCode(64)
    static let unavailable = ExitCode(69)
    static let badConfiguration = ExitCode(78)

    static func configuration(_ problems: SettingProblems) -> ExitCode {
        FileHandleLine.write("cairn: wrong configuration\n\(problems)\n")
        return badConfiguration
    }

    static func say(_ text: String, _ code: ExitCode = .failure) -> ExitCode {
        FileHandleLine.write("cairn: \(text)\n")
        return code
    }
}
