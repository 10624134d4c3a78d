import ArgumentParser
import FoundationEssentials
import KafkaProtocol
import NIOPosix

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail",
        abstract: "Prints the records of a topic as they come, decoded: RTCM, NMEA, UBX, text or bytes.")

    @Argument(help: "The topic.") var topic: String
    @Option(help: "Kafka address of a cloud node or a gateway.") var bootstrap = "127.0.0.1:9093"
    @Flag(help: "Begin with the oldest record instead of the next one.") var fromBeginning = false
    @Option(help: "Stop after so many records.") var max: Int?
    @Option(help: "Stop when nothing came for so long, for example 10s.") var timeout: String?
    @Flag(help: "Show the headers of each record.") var headers = false

    func run() async throws {
        guard let address = try? SettingValue.address(bootstrap) else {
            throw Complaint.say("--bootstrap \(bootstrap): expected host:port", Complaint.usage)
        }
        let patience: Duration?
        do {
            patience = try timeout.map { text throws(SettingValue.Malformed) in try SettingValue.duration(text) }
        } catch {
            throw Complaint.say("--timeout: \(error.expected)", Complaint.usage)
        }
        do {
            let client = try await KafkaClient.connect(to: address, group: MultiThreadedEventLoopGroup.singleton)
            try await follow(client, patience: patience)
            await client.close()
        } catch let failure as TopicReader.Failure {
            throw Complaint.say(failure.description)
        } catch let failure as KafkaClient.Failure {
            throw Complaint.say(failure.description, Complaint.unavailable)
        }
    }

    private func follow(_ client: KafkaClient, patience: Duration?) async throws {
        var reader = try await TopicReader(client: client, topic: topic, fromBeginning: fromBeginning)
        var printed = 0
        let clock = ContinuousClock()
        var last = clock.now
        while printed < max ?? .max {
            let items = try await reader.next()
            if !items.isEmpty { last = clock.now }
            for item in items.prefix((max ?? .max) - printed) { show(item) }
            printed += min(items.count, (max ?? .max) - printed)
            if let patience, clock.now - last > patience { break }
        }
    }

    private func show(_ item: TopicReader.Item) {
        let record = item.record
        let time = Date(timeIntervalSince1970: Double(record.timestampMs) / 1000).formatted(.iso8601)
        let key = record.key.map { " " + RecordPicture.text($0, max: 64) } ?? ""
        var lines = ["\(time) \(topic)-\(item.partition) @\(item.offset)\(key)"]
        if headers {
            for header in record.headers {
                lines.append("    \(header.key): " + (header.value.map { RecordPicture.text($0, max: 120) } ?? "null"))
            }
        }
        guard let value = record.value else { return FileHandleLine.write(lines[0] + "  null\n", to: 1) }
        let pieces = RecordPicture.pieces(of: value)
        if pieces.count == 1 { lines[0] += "  " + pieces[0] } else { lines += pieces.map { "    " + $0 } }
        FileHandleLine.write(lines.joined(separator: "\n") + "\n", to: 1)
    }
}
