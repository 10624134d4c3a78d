import ArgumentParser
import Foundation

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks this machine and a configuration, and says what is wrong and what to do.",
        discussion: """
            Looks at settings, data directory, space, disk, io_uring, clock, service and what it may read and write, ports, names, \
            certificates, store and cloud nodes. Without \
            --config it takes what the package's units use: /etc/cairn/ROLE.yaml and ROLE.env. A gateway may run meanwhile. Ends \
            within half a minute.
            Exit code 0: all is well. 1: warnings only. 2: something will not work.
            """)

    enum Role: String, ExpressibleByArgument, CaseIterable {
        case edge, cloud
    }

    @Option(help: "edge or cloud; without it, what the settings file is for.") var role: Role?
    @Flag(help: "As JSON.") var json = false
    @Flag(help: "Only what is to be done, and a summary.") var brief = false
    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let role = try chosenRole()
        let packaged = PackagedRole(role: role.rawValue)
        let isPackaged = options.config == nil || options.config == packaged.config
        var options = options
        if options.config == nil, FileManager.default.fileExists(atPath: packaged.config) {
            options.config = packaged.config
        }
        if isPackaged { takeCredentials(packaged) }
        let findings = await findings(role, options, isPackaged ? packaged : nil)
        let report = DoctorReport(
            version: Cairn.version, role: role.rawValue, config: options.config ?? "", findings: findings)
        print(json ? report.json() : report.text(brief: brief), terminator: "")
        if report.exitCode != 0 { throw ExitCode(report.exitCode) }
    }

    /// By name, by the file, or by what is in /etc/cairn.
    private func chosenRole() throws -> Role {
        if let role { return role }
        if let config = options.config { return Self.role(ofFile: config) }
        let installed = Role.allCases.filter {
            FileManager.default.fileExists(atPath: PackagedRole(role: $0.rawValue).config)
        }
        if let role = installed.first { return role }
        guard !options.settings.isEmpty else {
            throw Complaint.say(
                "no /etc/cairn/edge.yaml and no /etc/cairn/cloud.yaml; name a file with --config", Complaint.usage)
        }
        return .edge
    }

    /// Only a gateway has a site.
    static func role(ofFile path: String) -> Role {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let file = try? SettingsFile(path: path, text: text), file.lines["site"] == nil
        else { return .edge }
        return .cloud
    }

    /// `credential:NAME` in the settings names what systemd gave to the service while it runs.
    private func takeCredentials(_ packaged: PackagedRole) {
        guard ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"] == nil else { return }
        setenv("CREDENTIALS_DIRECTORY", packaged.credentials, 1)
    }

    private func findings(_ role: Role, _ options: SettingsOptions, _ packaged: PackagedRole?) async -> [Finding] {
        let name = "settings"
        do {
            let subject = try await subject(role, options, packaged)
            let doctor = Doctor(
                subject: subject, packaged: packaged, settingsFile: options.config.flatMap { secrets($0, role) })
            return [.good(name, "\(options.config ?? "flags"): sound")] + (await doctor.examine())
        } catch {
            let problems = (error as? SettingProblems)?.problems.map(\.description) ?? ["\(error)"]
            return problems.map { .failure(name, $0, Self.advice($0, role)) }
                + [.skipped("others", "need sound settings")] + Doctor.machine(needsTime: false)
        }
    }

    private static func advice(_ problem: String, _ role: Role) -> String {
        if problem.hasSuffix("cannot be read") {
            return
                "check the name after --config, and that this user may read the file: one with secrets is its owner's"
        }
        return problem.contains("tls-")
            ? "the certificate's file holds the own one first, then those between; see what a file is: openssl x509 -in FILE -noout -text"
            : "'cairn config example \(role.rawValue)' shows every setting"
    }

    private func subject(
        _ role: Role, _ options: SettingsOptions, _ packaged: PackagedRole?
    ) async throws -> Subject {
        var environment = ProcessInfo.processInfo.environment
        var flags = options.settings
        if let packaged {
            environment.merge(packaged.environment()) { own, _ in own }
            // As the unit does.
            if !flags.contains(where: { $0.hasPrefix("--data-dir") }) {
                flags += ["--data-dir", packaged.dataDirectory]
            }
        }
        switch role {
        case .edge:
            let lanes = await SettingsReader.laneNames(
                prefix: "", file: options.config, flags: flags, environment: environment)
            let reader = try await SettingsReader(
                keys: EdgeKeys.all(lanes: lanes), file: options.config, flags: flags, environment: environment)
            let settings = EdgeSettings(reader)
            try reader.finish()
            return Subject(settings)
        case .cloud:
            let reader = try await SettingsReader(
                keys: CloudKeys.all, file: options.config, flags: flags, environment: environment)
            let settings = CloudSettings(reader)
            try reader.finish()
            return Subject(settings)
        }
    }

    /// The secret settings that stand in the file.
    private func secrets(_ path: String, _ role: Role) -> SecretsCheck.File? {
        guard let mode = SecretsCheck.mode(path), let text = try? String(contentsOfFile: path, encoding: .utf8),
            let file = try? SettingsFile(path: path, text: text)
        else { return nil }
        let keys = role == .edge ? EdgeKeys.all : CloudKeys.all
        return SecretsCheck.File(
            path: path, mode: mode,
            secrets: keys.filter { key in
                // A path of a key is no secret; the file that it names is looked at for itself.
                key.isSecret && file.lines[key.name] != nil
                    && (!key.name.hasSuffix("tls-key") || text.contains("PRIVATE KEY-----"))
            }.map(\.name))
    }
}
