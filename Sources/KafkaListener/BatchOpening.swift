public import KafkaProtocol
public import NIOCore
import NIOPosix

/// Where batches of producers are opened to be checked: small ones on the event loop of their connection, others on threads that
/// no connection waits for but their own.
///
/// A few kilobytes of zstd may stand for 64 MiB, which take tens of milliseconds: on an event loop every other connection of it
/// would wait as long. So a request is opened on its loop only as far as ``loopBytesMax``, and anew on a thread where that is not enough.
public enum BatchOpening {
    /// Compressed bytes in a request from which on the loop does not try.
    public static let compressedBytesMax = 256 << 10
    /// Decompressed bytes of one request on the loop: some two milliseconds.
    public static let loopBytesMax = 2 << 20
    /// Half of the processor: opening is never what a node is for. Each thread holds one opened batch at a time, so this bounds their
    /// memory; what waits for a thread is in the byte budget of requests.
    private static let threads = {
        let pool = NIOThreadPool(numberOfThreads: max(1, System.coreCount / 2))
        pool.start()
        return pool
    }()

    /// Does `work` on a thread, in the order of the calls as threads get free. Succeeds on `eventLoop`.
    public static func run<Value: Sendable>(
        for eventLoop: any EventLoop, _ work: @escaping @Sendable () -> Value
    ) -> EventLoopFuture<Value> {
        threads.runIfActive(eventLoop: eventLoop, work)
    }

    /// All bytes of a batch that has a codec; 0 for any other, and for bytes that are no batch.
    public static func compressedBytes(_ records: ByteBuffer?) -> Int {
        guard let records, compression(of: records) != .some(.none) else { return 0 }
        return records.readableBytes
    }

    /// Whether the topic wants another codec, which takes far longer than opening.
    public static func compressesMuch(_ records: ByteBuffer?, _ rules: ProduceRules) -> Bool {
        guard let records, records.readableBytes > 64 << 10, case .codec(let codec) = rules.compression else {
            return false
        }
        return compression(of: records) != codec.compression
    }

    /// By the lowest bits of the attributes; nil for a codec that does not exist.
    private static func compression(of records: ByteBuffer) -> Compression? {
        guard let attributes = records.getInteger(at: records.readerIndex + 22, as: UInt8.self) else {
            return .some(.none)
        }
        return Compression(rawValue: attributes & 7)
    }
}
