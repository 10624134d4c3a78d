public import NIOCore

/// Limits and addresses of one ``KafkaListener``. All sizes are bytes.
public struct KafkaListenerConfiguration: Sendable, Equatable {
    public var host: String
    /// 0 lets the system choose; ``KafkaListener/start()`` returns what it chose.
    public var port: Int
    /// Connections that the kernel may hold before we accept them.
    public var backlog: Int = 1024

    /// Larger frames close the connection. Kafka's own default is 100 MiB; nothing that a client sends with default
    /// settings is above a few MiB.
    public var frameBytesMax: Int = 16 * 1024 * 1024
    /// Connections above it are closed as soon as they are accepted, and counted.
    public var connectionsMax: Int = 2048

    /// Requests of one connection that are read and not yet answered. A node that answers every 250 ms takes four times as many
    /// a second of each connection, so this is far above what clients send by themselves (librdkafka: one million, Java: 5); it is
    /// the bytes that bound memory.
    public var requestsInFlightMax: Int = 1024
    /// Their bytes, and ``requestOverheadBytes`` for each; one larger frame is let through when it is alone.
    public var requestBytesInFlightMax: Int = 8 * 1024 * 1024
    /// Bytes of unanswered requests over all connections. A connection that finds no room is not read until there is.
    public var inFlightBytesMax: Int = 64 * 1024 * 1024
    /// Bytes reserved for frames of which only a part has arrived, over all connections. Apart from the budget above, so
    /// that senders of large, slow frames cannot hold up small ones.
    public var assemblyBytesMax: Int = 64 * 1024 * 1024
    /// Response bytes that wait for a slow client before its connection is no longer read.
    public var responseBytesPendingMax: Int = 1024 * 1024

    /// A connection without a request for so long is closed (Kafka: connections.max.idle.ms, 10 min).
    public var idleTimeout: TimeAmount = .minutes(10)
    /// A frame must be complete so long after its first byte, and a response taken so long after it was written.
    public var frameTimeout: TimeAmount = .seconds(30)
    /// How long `shutdown` waits for requests in flight.
    public var shutdownTimeout: TimeAmount = .seconds(5)
    /// Size of one socket read of a busy connection; a quiet one reads 4 KiB.
    public var readBytes: Int = 256 * 1024

    public init(host: String = "127.0.0.1", port: Int = 9092) {
        self.host = host
        self.port = port
    }

    /// What a small request takes besides its frame while it is unanswered: its header, its place in line, its future.
    static let requestOverheadBytes = 256

    /// What a request counts in the budgets of requests.
    func chargedBytes(frameBytes: Int) -> Int {
        min(frameBytes + Self.requestOverheadBytes, max(frameBytes, inFlightBytesMax))
    }

    /// A frame above either budget could never be admitted.
    var effectiveFrameBytesMax: Int { max(0, min(frameBytesMax, inFlightBytesMax, assemblyBytesMax)) }
}
