import ArgumentParser
import FoundationEssentials
import NIOCore

struct GapsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gaps",
        abstract: "Shows what sites had acknowledged and gave up: which records are missing where, and why.")

    @Option(help: "Console of a cloud node (http.listen).") var cloud = "http://127.0.0.1:9644"
    @OptionGroup var tls: TLSOptions
    @Option(help: "Only this site.") var site: String?
    @Option(help: "Only this lane.") var lane: String?
    @Flag(help: "The node's answer as JSON.") var json = false

    /// 1,000 lanes with full lists stay well below it.
    private static let answerBytesMax = 256 << 20

    func run() async throws {
        let answer = try await fetch()
        if json {
            print(String(buffer: answer.body))
            return
        }
        guard let report = answer.decoded(GapReport.self) else {
            throw Complaint.say("\(cloud): the answer is not that of a cairn cloud node", Complaint.unavailable)
        }
        print(report.table.joined(separator: "\n"))
    }

    private func fetch() async throws -> ConsoleClient.Answer {
        guard var parts = URLComponents(string: cloud + "/v1/gaps"), parts.host != nil else {
            throw Complaint.say("--cloud \(cloud): expected http://HOST:PORT", Complaint.usage)
        }
        let query = [("site", site), ("lane", lane)].compactMap { name, value in
            value.map { URLQueryItem(name: name, value: $0) }
        }
        if !query.isEmpty { parts.queryItems = query }
        let answer: ConsoleClient.Answer
        do {
            answer = try await ConsoleClient.ask(
                cloud, "/v1/gaps" + (parts.percentEncodedQuery.map { "?" + $0 } ?? ""), bytesMax: Self.answerBytesMax,
                tls: tls.client)
        } catch {
            throw Complaint.say(
                "the cloud node at \(cloud) (--cloud) cannot be asked: \(ConnectionTrouble.text(error))",
                Complaint.unavailable)
        }
        guard answer.status == 200 else { throw Complaint.say("\(cloud): \(answer.status)", Complaint.unavailable) }
        return answer
    }
}
