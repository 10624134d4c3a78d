import ArgumentParser
import Foundation
import NIOCore

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "How the gateway on this machine is: backlog, rates, disk, clock, alarms.",
        discussion: """
            Asks the gateway's status page, and where it does not answer reads its last report. Exit code 0: healthy; 1: it \
            runs and has alarms, or does not accept yet; 69: it does not answer.
            """)

    @Option(help: "The gateway's http.listen.") var url = "http://127.0.0.1:9645"
    @Option(help: "Its last report, when it does not answer: a file, or the data directory that holds status.json.")
    var state = "/run/cairn-edge"
    @Flag(help: "The report as JSON.") var json = false

    func run() async throws {
        switch await ask() {
        case .success(let report):
            show(report, ageSeconds: nil)
            if !report.isHealthy { throw ExitCode(1) }
        case .failure(let why):
            guard let report = lastReport() else {
                throw Complaint.say("\(url): \(why.text)", Complaint.unavailable)
            }
            show(report, ageSeconds: max(0, Int((wallMilliseconds() - report.writtenAtMs) / 1000)))
            throw Complaint.say("\(url): \(why.text)", Complaint.unavailable)
        }
    }

    private struct Why: Error {
        var text: String
    }

    private static let replyBytesMax = 1 << 20

    private func ask() async -> Result<GatewayReport, Why> {
        let answer: ConsoleClient.Answer
        do {
            answer = try await ConsoleClient.ask(
                url, "/status.json", bytesMax: Self.replyBytesMax, timeout: .seconds(5))
        } catch {
            return .failure(Why(text: "does not answer (\(ConnectionTrouble.text(error)))"))
        }
        guard answer.status == 200 else {
            return .failure(Why(text: "answers \(answer.status): not a gateway's status page"))
        }
        guard let report = answer.decoded(GatewayReport.self) else {
            return .failure(Why(text: "answers something else than a gateway's status"))
        }
        return .success(report)
    }

    private func lastReport() -> GatewayReport? {
        for path in [state, state + "/" + StateFile.name] {
            guard let data = FileManager.default.contents(atPath: path) else { continue }
            if let report = try? JSONDecoder().decode(GatewayReport.self, from: data) { return report }
        }
        return nil
    }

    private func show(_ report: GatewayReport, ageSeconds: Int?) {
        print(json ? report.json() : StatusTable.text(report, ageSeconds: ageSeconds), terminator: "")
    }
}
