import ArgumentParser

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Shows and checks configuration.",
        subcommands: [Example.self, Check.self, Listeners.self])

    enum Role: String, ExpressibleByArgument, CaseIterable {
        case edge, cloud, up

        var keys: [SettingKey] {
            switch self {
            case .edge: EdgeKeys.all
            case .cloud: CloudKeys.all
            case .up: UpKeys.all
            }
        }
    }

    struct Example: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints every setting of a role with its default.")
        @Argument(help: "edge, cloud or up") var role: Role

        func run() async throws {
            print(SettingsExample.yaml(of: role.keys, title: "Settings of cairn \(role.rawValue)."), terminator: "")
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says what is wrong with a configuration, and starts nothing.")
        @Argument(help: "edge, cloud or up") var role: Role
        @Argument(help: "The YAML file.") var file: String
        @Argument(parsing: .allUnrecognized, help: "Settings as flags.") var settings: [String] = []

        func run() async throws {
            let options = SettingsOptions(file: file, flags: settings)
            let keys =
                switch role {
                case .edge: EdgeKeys.all(lanes: await options.lanes())
                case .cloud: CloudKeys.all
                case .up: UpKeys.all(lanes: await options.lanes(prefix: "edge."))
                }
            let reader = try await options.reader(keys)
            switch role {
            case .edge: _ = EdgeSettings(reader)
            case .cloud: _ = CloudSettings(reader)
            case .up: _ = UpSettings(reader)
            }
            try SettingsOptions.finish(reader)
            print("\(file): sound")
        }
    }

    struct Listeners: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what a gateway listens on, one a line: tcp|udp HOST PORT SETTING.")
        @Argument(help: "The YAML file.") var file: String
        @Argument(parsing: .allUnrecognized, help: "Settings as flags.") var settings: [String] = []

        func run() async throws {
            let options = SettingsOptions(file: file, flags: settings)
            let reader = try await options.reader(EdgeKeys.all(lanes: await options.lanes()))
            let edge = EdgeSettings(reader)
            try SettingsOptions.finish(reader)
            for listener in edge.listeners { print(listener) }
        }
    }
}
