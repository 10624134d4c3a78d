import ArgumentParser
import NIOCore
import NIOHTTP1

struct UplinkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uplink", abstract: "Pauses, resumes and shows the uploads of a running gateway.",
        subcommands: [Pause.self, Resume.self, Status.self])

    /// The running gateway, found by its data directory.
    struct Place: ParsableArguments {
        @Argument(help: "The gateway's data-dir ('cairn up': data-dir/edge).") var directory: String

        func ask(_ method: HTTPMethod, _ path: String) async throws -> UplinkReport {
            guard let control = ControlFile.read(directory: directory) else {
                throw Complaint.say(
                    "\(directory)/control.json cannot be read: is it the data-dir of a gateway with http.listen, and yours?",
                    Complaint.unavailable)
            }
            let answer: ConsoleClient.Answer
            do {
                answer = try await ConsoleClient.ask(
                    control.url, path, method: method, headers: [("authorization", "Bearer " + control.token)],
                    bytesMax: 1 << 20)
            } catch {
                throw Complaint.say(
                    "no gateway answers at \(control.url): \(ConnectionTrouble.text(error))", Complaint.unavailable)
            }
            guard answer.status == 200 else {
                throw Complaint.say("\(control.url): \(answer.status) \(String(buffer: answer.body))")
            }
            guard let report = answer.decoded(UplinkReport.self) else {
                throw Complaint.say("\(control.url) is another program, or another version", Complaint.unavailable)
            }
            return report
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops uploads until 'resume', over restarts too. Intake goes on; nothing is lost.")
        @OptionGroup var place: Place
        func run() async throws {
            let report = try await place.ask(.POST, "/v1/uplink/pause")
            print(report.lines.joined(separator: "\n"))
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets uploads go on where they stopped.")
        @OptionGroup var place: Place
        func run() async throws {
            let report = try await place.ask(.POST, "/v1/uplink/resume")
            print(report.lines.joined(separator: "\n"))
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows rates, caps, data plan, and what each lane waits for.")
        @OptionGroup var place: Place
        @Flag(help: "As JSON.") var json = false
        func run() async throws {
            let report = try await place.ask(.GET, "/v1/uplink")
            print(json ? String(buffer: report.json) : report.lines.joined(separator: "\n"))
        }
    }
}
