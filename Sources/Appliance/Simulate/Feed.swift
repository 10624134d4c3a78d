import Edge
import FoundationEssentials
import Logging
import NIOCore
import NIOPosix

/// What feeds a gateway while it is tried out: stations over NTRIP and a Kafka producer, or one capture over and over.
struct Feed: Sendable {
    let terminals: TerminalSimulator
    let reports: MachineReports?

    /// `count` synthetic stations.
    static func stations(
        _ count: Int, ntrip: HostPort, password: String, version2: Bool, interval: Duration, kafka: HostPort?,
        logger: Logger
    ) -> Feed {
        let names = (1...max(1, count)).map { number in
            "SIM" + String(repeating: "0", count: number < 10 ? 1 : 0) + "\(number)"
        }
        var configuration = TerminalSimulator.Configuration(
            host: ntrip.host, port: ntrip.port,
            terminals: names.enumerated().map { index, name in
                TerminalSimulator.Terminal(name: name, password: password, kind: index % 4 == 3 ? .rover : .base)
            })
        configuration.transport = version2 ? .ntripVersion2 : .ntripVersion1
        configuration.interval = interval
        return Feed(
            terminals: simulator(configuration, logger),
            reports: kafka.map {
                MachineReports(address: $0, topic: "machine.metrics", interval: interval, logger: logger)
            })
    }

    /// The capture at `path`, at the pace of its own epochs.
    static func replay(_ path: String, ntrip: HostPort, password: String, logger: Logger) throws -> Feed {
        let data = try Data(contentsOf: URL(filePath: path))
        let name = URL(filePath: path).deletingPathExtension().lastPathComponent
        let mountpoint = String(name.filter { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }.prefix(32))
        let configuration = TerminalSimulator.Configuration(
            host: ntrip.host, port: ntrip.port,
            terminals: [
                TerminalSimulator.Terminal(
                    name: mountpoint.isEmpty ? "REPLAY" : mountpoint, password: password,
                    replay: ReplayScript(capture: ByteBuffer(bytes: data)))
            ])
        return Feed(terminals: simulator(configuration, logger), reports: nil)
    }

    private static func simulator(_ configuration: TerminalSimulator.Configuration, _ logger: Logger)
        -> TerminalSimulator
    {
        TerminalSimulator(
            configuration, world: IntakeWorld(nowMs: { wallMilliseconds() }),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: logger)
    }

    /// Feeds until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await terminals.run() }
            if let reports { group.addTask { await reports.run() } }
        }
    }

    var summary: String {
        let sent = terminals.counters
        let first =
            "simulator: \(sent.connectionsOpen) terminals connected, \(sent.epochsSent) epochs, \(LiveScreen.bytes(sent.bytesSent)) sent"
        guard let acked = reports?.counters else { return first }
        return first + "; Kafka producer: \(acked.acked) reports acked"
            + (acked.failures > 0 ? ", \(acked.failures) retries" : "")
    }
}
