public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// Terminals for trying the gateway out: real connections that send synthetic epochs or replay a capture.
///
/// Each terminal connects by itself, sends at its pace, and connects again, with jitter, when the connection ends.
public final class TerminalSimulator: Sendable {
    public enum Transport: Sendable, Equatable {
        case ntripVersion1
        case ntripVersion2
        /// Plain TCP: no login.
        case tcp
    }

    public struct Terminal: Sendable {
        public enum Kind: Sendable, Equatable {
            case base, rover
        }
        /// For NTRIP its mountpoint.
        public var name: String
        public var user: String
        public var password: String
        public var kind: Kind
        /// Sent instead of synthetic epochs, at the pace of its own times.
        public var replay: ReplayScript?

        public init(
            name: String, password: String = "", user: String = "cairn", kind: Kind = .base, replay: ReplayScript? = nil
        ) {
            self.name = name
            self.user = user
            self.password = password
            self.kind = kind
            self.replay = replay
        }
    }

    public struct Configuration: Sendable {
        public var host: String
        public var port: Int
        public var transport: Transport = .ntripVersion1
        public var terminals: [Terminal]
        public var interval: Duration = .seconds(1)
        /// 2 replays twice as fast as the capture was made.
        public var replaySpeed = 1.0
        /// Start a replay again at its end; otherwise the terminal is done.
        public var repeatsReplay = true

        public init(host: String, port: Int, terminals: [Terminal]) {
            self.host = host
            self.port = port
            self.terminals = terminals
        }
    }

    public struct Counters: Sendable, Equatable {
        public var connectionsOpen = 0
        public var connectionsMade = 0
        public var connectionsFailed = 0
        public var epochsSent = 0
        /// Of the terminals' streams, without login and chunk framing.
        public var bytesSent = 0
        public init() {}
    }

    private let configuration: Configuration
    private let world: IntakeWorld
    private let group: any EventLoopGroup
    private let logger: Logger
    private let tally = Mutex(Counters())

    public init(_ configuration: Configuration, world: IntakeWorld, group: any EventLoopGroup, logger: Logger) {
        self.configuration = configuration
        self.world = world
        self.group = group
        self.logger = logger
    }

    public var counters: Counters { tally.withLock { $0 } }

    /// Runs all terminals until they are done or the task is cancelled.
    public func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            for (number, terminal) in configuration.terminals.enumerated() {
                tasks.addTask { await self.run(terminal, number: number) }
            }
        }
    }

    private func run(_ terminal: Terminal, number: Int) async {
        var delay = ReconnectDelay(max: .seconds(10))
        var pace = TerminalPace(terminal, number: number, configuration: configuration)
        // Terminals do not start in step.
        var pause: Duration = configuration.interval * world.random()
        while !Task.isCancelled && !pace.isDone {
            do {
                try await Task.sleep(for: pause)
                try await send(terminal, &pace, &delay)
            } catch is CancellationError {
                return
            } catch {
                logger.debug(
                    "a simulated terminal lost its connection",
                    metadata: ["terminal": "\(terminal.name)", "error": "\(error)"])
                tally.withLock { $0.connectionsFailed += 1 }
            }
            pause = delay.failed(random: world.random())
        }
    }

    /// One connection, from login to its end.
    private func send(_ terminal: Terminal, _ pace: inout TerminalPace, _ delay: inout ReconnectDelay) async throws {
        let connection = try await SimulatedConnection.open(configuration, terminal, on: group)
        tally.withLock {
            $0.connectionsOpen += 1
            $0.connectionsMade += 1
        }
        defer {
            tally.withLock { $0.connectionsOpen -= 1 }
            connection.close()
        }
        pace.connected(at: .now)
        while let step = pace.next() {
            try await Task.sleep(until: step, clock: .continuous)
            let bytes = pace.bytes(nowMs: world.nowMs())
            try await connection.send(bytes)
            pace.sent()
            delay.succeeded()
            tally.withLock {
                $0.epochsSent += 1
                $0.bytesSent += bytes.readableBytes
            }
        }
        try await connection.finish()
    }
}

/// When a terminal sends what. Epochs missed while there was no connection are not sent later, replayed pieces are.
private struct TerminalPace {
    private let interval: Duration
    private let replay: ReplayScript?
    private let speed: Double
    private let repeats: Bool
    private var synthetic: SyntheticTerminal
    private var nextAt = ContinuousClock.now
    private var replayStart = ContinuousClock.now
    private var piece = 0

    init(_ terminal: TerminalSimulator.Terminal, number: Int, configuration: TerminalSimulator.Configuration) {
        interval = configuration.interval
        replay = terminal.replay
        speed = max(configuration.replaySpeed, 0.001)
        repeats = configuration.repeatsReplay
        synthetic = SyntheticTerminal(kind: terminal.kind, number: number)
    }

    var isDone: Bool { replay.map { piece >= $0.pieces.count } ?? false }

    mutating func connected(at now: ContinuousClock.Instant) {
        nextAt = now
        guard let replay, piece < replay.pieces.count else { return }
        replayStart = now - replay.pieces[piece].offset / speed
    }

    /// When to send next; nil at the end of a replay.
    func next() -> ContinuousClock.Instant? {
        guard let replay else { return nextAt }
        return isDone ? nil : replayStart + replay.pieces[piece].offset / speed
    }

    mutating func bytes(nowMs: Int64) -> ByteBuffer {
        if let replay { return replay.pieces[piece].bytes }
        return synthetic.epoch(utcMs: nowMs)
    }

    mutating func sent() {
        guard let replay else {
            // After a stall the next epoch is the present one.
            nextAt = max(nextAt + interval, .now)
            return
        }
        piece += 1
        if piece >= replay.pieces.count && repeats && !replay.pieces.isEmpty {
            replayStart = replayStart + replay.pieces[piece - 1].offset / speed + interval
            piece = 0
        }
    }
}
