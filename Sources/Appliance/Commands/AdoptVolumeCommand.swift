import ArgumentParser
import Cloud
import FoundationEssentials
import Sealing
import ServiceLifecycle
import WriteAheadLog

/// Finishes the volume of a node that will not come back: what only its log holds goes into objects.
struct AdoptVolumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt-wal",
        abstract: "Brings what only a dead node's log holds into objects.",
        discussion: """
            DIR is the wal.dir of that node (its disk, or a copy of it). No cloud node may run on the ledger meanwhile. \
            Nothing is lost when this is interrupted: run it again.
            """)

    @Argument(help: "The log's directory: it holds a file named incarnation.") var directory: String
    @OptionGroup var options: SettingsOptions

    private static let attemptsMax = 5

    func run() async throws {
        let reader = try await options.reader(CloudKeys.all)
        var settings = CloudSettings(reader)
        try SettingsOptions.finish(reader)
        guard let storeSettings = settings.store else { throw Complaint.badConfiguration }
        guard FileManager.default.fileExists(atPath: directory + "/incarnation") else {
            throw Complaint.say("\(directory): holds no volume (no file named incarnation)", Complaint.unavailable)
        }
        try Self.demandReadable(directory, settings.encryption)
        settings.walEnabled = true
        settings.walChosenDirectory = directory
        let logger = RoleRunner.logger(settings.log, label: "cloud")
        let role: CloudRole
        do {
            role = try await CloudRole.open(settings, store: try OpenedStore(storeSettings), logger: logger)
        } catch {
            throw Complaint.say("\(directory): \(error)", Complaint.unavailable)
        }
        let before = role.broker.status(topicsMax: 0).volume?.waitingBytes ?? 0
        let isDone = await role.finishVolume(attemptsMax: Self.attemptsMax)
        guard isDone else {
            throw Complaint.say(
                "\(directory): not everything could be brought into objects; run it again", Complaint.unavailable)
        }
        print("\(directory): \(before) bytes brought into objects; the directory can be removed")
    }

    /// A node that cannot read its log goes on beside it; here that would say that nothing is left to do.
    private static func demandReadable(_ directory: String, _ encryption: EncryptionSettings) throws {
        guard FileManager.default.fileExists(atPath: directory + "/log") else { return }
        do {
            let ring = try encryption.keys()?.ring
            guard let segments = try Inspection.obstacle(directory: directory + "/log", keys: ring) else { return }
            throw Complaint.say("\(segments.told); nothing has been touched", Complaint.unavailable)
        } catch let code as ExitCode {
            throw code
        } catch {
            throw Complaint.say("\(directory): \(error)", Complaint.unavailable)
        }
    }
}
