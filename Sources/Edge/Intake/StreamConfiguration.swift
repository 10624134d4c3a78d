/// How the bytes of one terminal become records. Plain values, the same for NTRIP, TCP and UDP.
public struct StreamConfiguration: Sendable, Equatable {
    public enum RecordUnit: Sendable, Equatable {
        /// Every frame is a record.
        case frame
        /// All frames of one measurement epoch are a record.
        case epoch
    }

    public var topic: String
    /// Takes the bytes in which no frame was found; with the header `position` they can be merged back.
    public var unknownTopic: String
    public var unit: RecordUnit
    /// Bytes of one terminal that may wait to become durable; above it the socket is not read.
    public var inFlightBytesMax = 256 * 1024
    /// A pause of the terminal after which an epoch, and a run of unknown bytes, counts as complete.
    public var pause: Duration = .milliseconds(300)
    /// How long the start of a frame is held back for its end.
    public var claimTimeout: Duration = .seconds(5)
    public var epochBytesMax = 64 * 1024
    public var ubxPayloadBytesMax = 16 * 1024
    public var unknownBytesMax = 4096

    /// `unknownTopic` is `<topic>.unknown` unless given.
    public init(topic: String, unit: RecordUnit = .epoch, unknownTopic: String? = nil) {
        self.topic = topic
        self.unit = unit
        self.unknownTopic = unknownTopic ?? topic + ".unknown"
    }
}

/// What the intake listeners take from the world around them.
public struct IntakeWorld: Sendable {
    /// Milliseconds since 1970-01-01 UTC. Timers do not use it.
    public var nowMs: @Sendable () -> Int64
    /// When bytes that come now have arrived.
    private(set) var arrival: @Sendable () -> Arrival
    /// Names one connection; random, so that two runs of a gateway do not share one.
    public var makeSessionID: @Sendable () -> String
    /// From 0 up to 1, for jitter.
    public var random: @Sendable () -> Double

    /// Records are stamped by `clock`, which is the sink's too, so that the uplink can repair their times.
    public init(clock: any WallClock) {
        self.init(nowMs: { clock.read().wallMs })
        arrival = {
            let now = clock.read()
            return Arrival(wallMs: now.wallMs, monotonicNs: now.monotonicNs)
        }
    }

    /// Records are stamped by `nowMs` for good.
    public init(
        nowMs: @escaping @Sendable () -> Int64,
        makeSessionID: @escaping @Sendable () -> String = { String(UInt64.random(in: 0 ... .max), radix: 16) },
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.nowMs = nowMs
        self.makeSessionID = makeSessionID
        self.random = random
        arrival = { Arrival(wallMs: nowMs()) }
    }
}

/// When bytes came from a terminal.
struct Arrival: Sendable, Equatable {
    var wallMs: Int64
    var monotonicNs: UInt64?
}
