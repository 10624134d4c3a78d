import ArgumentParser
import FoundationEssentials
import WriteAheadLog

struct WALCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wal", abstract: "Looks into a gateway's write-ahead log.",
        subcommands: [Inspect.self, Verify.self, RebuildIndex.self])

    /// `DIR` is a gateway's data directory, or the directory of one lane.
    struct Place: ParsableArguments {
        @Argument(help: "A gateway's data-dir, or the directory of one lane.") var directory: String

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
            _ work: (String) throws(WALError) -> Report
        ) throws -> [Report] {
            try lanes().map { lane in
                do {
                    let report = try work(lane)
                    print(report)
                    return report
                } catch {
                    throw Complaint.say("\(lane): \(error)")
                }
            }
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows lanes, segments, partitions and what is uploaded. Changes nothing; the gateway may run.")
        @OptionGroup var place: Place
        func run() async throws {
            _ = try place.each { (lane: String) throws(WALError) in try Inspection.inspect(directory: lane) }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every frame and checks it; exit code 1 when something is damaged. Changes nothing.")
        @OptionGroup var place: Place
        func run() async throws {
            let reports = try place.each { (lane: String) throws(WALError) in try Inspection.verify(directory: lane) }
            guard reports.allSatisfy(\.isClean) else { throw ExitCode.failure }
        }
    }

    struct RebuildIndex: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rebuild-index",
            abstract: "Makes the SQLite index anew from the segments. The gateway must be stopped.")
        @OptionGroup var place: Place
        func run() async throws {
            _ = try place.each { (lane: String) throws(WALError) in try Inspection.rebuildIndex(directory: lane) }
        }
    }
}
