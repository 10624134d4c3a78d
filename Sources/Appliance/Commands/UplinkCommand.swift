import ArgumentParser
import AsyncHTTPClient
import FoundationEssentials
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
            var request = HTTPClientRequest(url: control.url + path)
            request.method = method
            request.headers.add(name: "authorization", value: "Bearer " + control.token)
            let answer: ByteBuffer
            do {
                let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
                answer = try await response.body.collect(upTo: 1 << 20)
                guard response.status == .ok else {
                    throw Complaint.say("\(control.url): \(response.status.code) \(String(buffer: answer))")
                }
            } catch let exit as ExitCode {
                throw exit
            } catch {
                throw Complaint.say("no gateway answers at \(control.url): \(error)", Complaint.unavailable)
            }
            guard let report = UplinkReport(json: answer) else {
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
