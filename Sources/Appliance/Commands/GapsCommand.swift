import ArgumentParser
import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOPosix

struct GapsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gaps",
        abstract: "Shows what sites had acknowledged and gave up: which records are missing where, and why.")

    @Option(help: "Console of a cloud node (http.listen).") var cloud = "http://127.0.0.1:9644"
    @Option(help: "Only this site.") var site: String?
    @Option(help: "Only this lane.") var lane: String?
    @Flag(help: "The node's answer as JSON.") var json = false

    /// 1,000 lanes with full lists stay well below it.
    private static let answerBytesMax = 256 << 20

    func run() async throws {
        let body = try await fetch()
        if json {
            print(String(buffer: body))
            return
        }
        guard let report = try? JSONDecoder().decode(GapReport.self, from: Data(body.readableBytesView)) else {
            throw Complaint.say("\(cloud): the answer is not that of a cairn cloud node", Complaint.unavailable)
        }
        print(report.table.joined(separator: "\n"))
    }

    private func fetch() async throws -> ByteBuffer {
        guard var parts = URLComponents(string: cloud + "/v1/gaps"), parts.host != nil else {
            throw Complaint.say("--cloud \(cloud): expected http://HOST:PORT", Complaint.usage)
        }
        let query = [("site", site), ("lane", lane)].compactMap { name, value in
            value.map { URLQueryItem(name: name, value: $0) }
        }
        if !query.isEmpty { parts.queryItems = query }
        guard let url = parts.url?.absoluteString else {
            throw Complaint.say("--cloud \(cloud): expected http://HOST:PORT", Complaint.usage)
        }
        let client = HTTPClient(eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton))
        let result: Result<ByteBuffer, any Error>
        do {
            let response = try await client.execute(HTTPClientRequest(url: url), timeout: .seconds(10))
            let status = "\(response.status)"
            guard status.hasPrefix("200") else { throw Complaint.say("\(cloud): \(status)", Complaint.unavailable) }
            result = .success(try await response.body.collect(upTo: Self.answerBytesMax))
        } catch {
            result = .failure(error)
        }
        try? await client.shutdown()
        do {
            return try result.get()
        } catch let code as ExitCode {
            throw code
        } catch {
            throw Complaint.say("\(cloud): \(error)", Complaint.unavailable)
        }
    }
}
