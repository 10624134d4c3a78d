import ArgumentParser
import FoundationEssentials
import Sealing
import WriteAheadLog

struct WALCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wal", abstract: "Looks into a gateway's write-ahead log.",
        subcommands: [Inspect.self, Verify.self, Salvage.self, RebuildIndex.self])

    /// `DIR` is a gateway's data directory, or the directory of one lane.
    struct Place: ParsableArguments {
        @Argument(help: "A gateway's data-dir, or the directory of one lane.") var directory: String
        @Option(
            help: ArgumentHelp(
                "The keys of an encrypted log: a file of 'cairn key', or credential:NAME of systemd's.",
                valueName: "file"))
        var keyFile: String?

        /// Nil without a key file: what is encrypted is then named and passed over.
        func keys() throws -> KeyRing? {
            guard let keyFile else { return nil }
            do {
                return try KeyFile.load(try KeyFile.path(setting: keyFile))
            } catch {
                throw Complaint.say("\(error)", Complaint.unavailable)
            }
        }

        func lanes() throws -> [String] {
            let manager = FileManager.default
            guard let names = try? manager.contentsOfDirectory(atPath: directory) else {
                throw Complaint.say("\(directory): no such directory", Complaint.unavailable)
            }
            if names.contains(where: { $0.hasSuffix(".seg") }) { return [directory] }
            let root = directory + "/lanes"
            let lanes = ((try? manager.contentsOfDirectory(atPath: root)) ?? []).sorted().map { root + "/" + $0 }
            guard !lanes.isEmpty else {
                throw Complaint.say("\(directory): holds no lanes and no segments", Complaint.unavailable)
            }
            return lanes
        }

        func each<Report: CustomStringConvertible>(
            failure: ExitCode = .failure, _ work: (String) throws(WALError) -> Report
        ) throws -> [Report] {
            try lanes().map { lane in
                do {
                    let report = try work(lane)
                    print(report)
                    return report
                } catch {
                    throw Complaint.say("\(lane): \(error)", failure)
                }
            }
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows lanes, segments, partitions and what is uploaded. Changes nothing; the gateway may run.")
        @OptionGroup var place: Place
        func run() async throws {
            let keys = try place.keys()
            _ = try place.each { (lane: String) throws(WALError) in
                try Inspection.inspect(directory: lane, keys: keys)
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every frame and checks it. Changes nothing; the gateway may run.",
            discussion: "Exit code 0: all is good. 1: something is damaged or lost. 2: it could not be read.")
        @OptionGroup var place: Place
        func run() async throws {
            let reports = try WALCommand.orUnreadable {
                let keys = try place.keys()
                return try place.each { (lane: String) throws(WALError) in
                    try Inspection.verify(directory: lane, keys: keys)
                }
            }
            // What only a newer cairn or another key can read has not been verified.
            guard reports.allSatisfy({ $0.untouchable == nil }) else { throw WALCommand.unreadable }
            guard reports.allSatisfy(\.isClean) else { throw ExitCode.failure }
        }
    }

    struct Salvage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gets out of a damaged log whatever still verifies, and says what is lost.",
            discussion: """
                Reads DIR only; no gateway may be using it. With --to a fresh data-dir (or lane) is written, with the same \
                LSNs and offsets and the site's identity: start the gateway there and it goes on where this one stopped. \
                An encrypted log needs --key-file, and is written encrypted, with the first key of the file.
                Exit code 0: nothing is lost. 1: something is. 2: it could not be read or written.
                """)
        @OptionGroup var place: Place
        @Option(help: "Directory to write, not there yet or empty. Without it nothing is written.") var to: String?

        func run() async throws {
            let reports = try WALCommand.orUnreadable { try salvage() }
            guard reports.allSatisfy(\.isWhole) else { throw ExitCode.failure }
        }

        private func salvage() throws -> [SalvageReport] {
            let isLane = try place.lanes() == [place.directory]
            let keys = try place.keys()
            let reports = try place.each { (lane: String) throws(WALError) in
                let name = lane.split(separator: "/").last.map(String.init) ?? lane
                return try WriteAheadLog.Salvage.run(
                    directory: lane, to: to.map { isLane ? $0 : $0 + "/lanes/" + name }, keys: keys)
            }
            if let to, !isLane { try copyIdentity(to: to) }
            return reports
        }

        /// Without it the gateway would be another one to the cloud, and its objects would continue nothing.
        private func copyIdentity(to target: String) throws {
            for name in ["incarnation", "incarnation.copy", "boots", "producer-ids"] {
                guard let bytes = FileManager.default.contents(atPath: place.directory + "/" + name) else { continue }
                try bytes.write(to: URL(fileURLWithPath: target + "/" + name))
                print("copied \(name)")
            }
        }
    }

    /// Nothing is known about the log.
    static let unreadable = ExitCode(2)

    /// For scripts: whatever keeps a command from its answer is 2, apart from 1, which is an answer.
    static func orUnreadable<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch is ExitCode {
            throw unreadable
        } catch {
            throw Complaint.say("\(error)", unreadable)
        }
    }

    struct RebuildIndex: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rebuild-index",
            abstract: "Makes the SQLite index anew from the segments. The gateway must be stopped.")
        @OptionGroup var place: Place
        func run() async throws {
            let keys = try place.keys()
            _ = try place.each { (lane: String) throws(WALError) in
                try Inspection.rebuildIndex(directory: lane, keys: keys)
            }
        }
    }
}
