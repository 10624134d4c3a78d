/// How much to put into the next object: as much as the link carries in about ten seconds.
///
/// The link's rate is a moving average over the objects sent. Small objects measure the latency and not the rate, so
/// they can only raise it. A failed attempt halves it: the next object is smaller. Bytes of the log and bytes of the
/// object differ by the compression, whose ratio is averaged too.
public struct ObjectSizing: Sendable, Equatable {
    public struct Limits: Sendable, Equatable {
        /// No object is planned smaller than this because of a slow link.
        public var bytesMin: Int
        /// Limit of an object of live data, bytes of the log.
        public var liveBytesMax: Int
        /// Limit of an object of backlog, bytes of the log.
        public var backlogBytesMax: Int
        /// How long one PUT should take.
        public var putTarget: Duration
        /// Believed of the link until something has been measured.
        public var assumedBytesPerSecond: Int

        public init(
            bytesMin: Int = 64 << 10, liveBytesMax: Int = 8 << 20, backlogBytesMax: Int = 32 << 20,
            putTarget: Duration = .seconds(10), assumedBytesPerSecond: Int = 128 << 10
        ) {
            precondition(bytesMin > 0 && liveBytesMax >= bytesMin && backlogBytesMax >= bytesMin, "limits out of order")
            precondition(putTarget > .zero && assumedBytesPerSecond > 0, "rate and time must be positive")
            self.bytesMin = bytesMin
            self.liveBytesMax = liveBytesMax
            self.backlogBytesMax = backlogBytesMax
            self.putTarget = putTarget
            self.assumedBytesPerSecond = assumedBytesPerSecond
        }
    }

    public let limits: Limits
    /// Nil until an object was sent.
    public private(set) var bytesPerSecond: Double?
    /// What other lanes have measured; stands in while this one has nothing of its own.
    public var linkBytesPerSecond: Double?
    /// Bytes of the object for one byte of the log.
    public private(set) var compressionRatio = 1.0

    public init(limits: Limits) { self.limits = limits }

    /// An object of `objectBytes`, made of `logBytes`, took `took` to send.
    public mutating func sent(objectBytes: Int, logBytes: Int, took: Duration) {
        if logBytes > 0, objectBytes >= Self.ratioSampleBytesMin {
            let ratio = min(max(Double(objectBytes) / Double(logBytes), 0.02), 1)
            compressionRatio += (ratio - compressionRatio) * Self.weight
        }
        let seconds = max(took / .seconds(1), 0.001)
        let sample = Double(objectBytes) / seconds
        let measuresRate = objectBytes >= limits.bytesMin || seconds >= 2
        guard measuresRate || sample > bytesPerSecond ?? Double(limits.assumedBytesPerSecond) else { return }
        let known = bytesPerSecond ?? sample
        bytesPerSecond = known + (sample - known) * Self.weight
    }

    /// An attempt ended without success after time enough to blame the link.
    public mutating func timedOut() {
        bytesPerSecond = max((bytesPerSecond ?? Double(limits.assumedBytesPerSecond)) / 2, 1024)
    }

    /// Bytes of the log to put into the next object.
    public func logBytesMax(isBacklog: Bool) -> Int {
        let rate = bytesPerSecond ?? linkBytesPerSecond ?? Double(limits.assumedBytesPerSecond)
        let objectBytes = max(rate * (limits.putTarget / .seconds(1)), Double(limits.bytesMin))
        let ceiling = isBacklog ? limits.backlogBytesMax : limits.liveBytesMax
        return Int(min(objectBytes / compressionRatio, Double(ceiling)))
    }

    private static let weight = 0.4
    private static let ratioSampleBytesMin = 16 << 10
}
