import ArgumentParser
import Logging

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Feeds a gateway over real connections: GNSS stations over NTRIP and a Kafka producer, or a capture.")

    @Option(help: "NTRIP address of the gateway.") var ntrip = "127.0.0.1:2101"
    @Option(help: "Password of the mountpoints.") var password = "cairn"
    @Flag(name: .customLong("ntrip-2"), help: "NTRIP version 2 (chunked POST) instead of version 1.") var version2 =
        false
    @Option(help: "Kafka address of the gateway; empty: no producer.") var kafka = "127.0.0.1:9092"
    @Option(help: "How many stations.") var stations = 5
    @Option(help: "Between two epochs of a station, for example 1s.") var interval = "1s"
    @Option(help: "Send this receiver capture, at the pace of its epochs, instead of synthetic stations.") var replay:
        String?
    @Option(help: "Stop after so many seconds.") var seconds: Int?

    func run() async throws {
        var logger = Logger(label: "simulate") { LogLines(label: $0, level: .info, json: false) }
        logger.logLevel = .info
        let feed = try makeFeed(logger)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await feed.run() }
            let deadline = ContinuousClock.now.advanced(by: .seconds(seconds ?? Int(Int32.max)))
            while ContinuousClock.now < deadline, !Task.isCancelled {
                let left = ContinuousClock.now.duration(to: deadline)
                try? await Task.sleep(for: min(.seconds(5), left))
                FileHandleLine.write(feed.summary + "\n", to: 1)
            }
            group.cancelAll()
        }
    }

    private func makeFeed(_ logger: Logger) throws -> Feed {
        guard let ntrip = try? SettingValue.address(ntrip) else {
            throw Complaint.say("--ntrip \(self.ntrip): expected host:port", Complaint.usage)
        }
        guard let pause = try? SettingValue.duration(interval), pause >= .milliseconds(10),
            (1...10_000).contains(stations)
        else { throw Complaint.say("--interval is at least 10ms, --stations 1 to 10000", Complaint.usage) }
        if let replay {
            do {
                return try Feed.replay(replay, ntrip: ntrip, password: password, logger: logger)
            } catch {
                throw Complaint.say("--replay \(replay): \(error)", Complaint.usage)
            }
        }
        let producer = (try? SettingValue.address(kafka)) ?? nil
        return Feed.stations(
            stations, ntrip: ntrip, password: password, version2: version2, interval: pause, kafka: producer,
            logger: logger)
    }
}
