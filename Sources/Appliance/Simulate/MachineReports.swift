import KafkaProtocol
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A Kafka producer for trying the gateway out: reports of one made-up machine each interval, idempotent, acks=all.
///
/// A report that was not acknowledged is sent again with the same sequence after a reconnect, so that none is doubled.
final class MachineReports: Sendable {
    struct Counters: Sendable {
        var acked = 0
        var failures = 0
    }

    private static let produceVersion: Int16 = 8
    private let address: HostPort
    private let topic: String
    private let interval: Duration
    private let logger: Logger
    private let state = Mutex(Counters())

    init(address: HostPort, topic: String, interval: Duration, logger: Logger) {
        self.address = address
        self.topic = topic
        self.interval = interval
        self.logger = logger
    }

    var counters: Counters { state.withLock { $0 } }

    /// Sends until the task is cancelled.
    func run() async {
        var sequence: Int32 = 0
        var producer: (id: Int64, epoch: Int16)?
        while !Task.isCancelled {
            do {
                let client = try await KafkaClient.connect(to: address, group: MultiThreadedEventLoopGroup.singleton)
                let known = try await { if let producer { producer } else { try await Self.identify(client) } }()
                producer = known
                while !Task.isCancelled {
                    try await send(report(sequence), sequence, known, client)
                    state.withLock { $0.acked += 1 }
                    sequence = sequence == .max ? 0 : sequence + 1
                    try await Task.sleep(for: interval)
                }
                await client.close()
            } catch is CancellationError {
                return
            } catch {
                state.withLock { $0.failures += 1 }
                logger.debug("simulated producer: \(error)")
                try? await Task.sleep(for: .milliseconds(Int.random(in: 100...1000)))
            }
        }
    }

    private static func identify(_ client: KafkaClient) async throws -> (id: Int64, epoch: Int16) {
        let response = try await client.send(InitProducerIDRequest(), version: 1)
        guard response.errorCode == .none else { throw response.errorCode }
        return (response.producerID, response.producerEpoch)
    }

    private func report(_ number: Int32) -> Record {
        let load = Int((Double(number % 60) - 30).magnitude * 3)
        let text = #"{"machine":"gw-1","metric":"cpu.busy","value":\#(load),"number":\#(number)}"#
        return Record(
            timestampMs: wallMilliseconds(), offsetDelta: 0, key: ByteBuffer(string: "gw-1"),
            value: ByteBuffer(string: text), headers: [])
    }

    private func send(
        _ record: Record, _ sequence: Int32, _ producer: (id: Int64, epoch: Int16), _ client: KafkaClient
    ) async throws {
        var builder = RecordBatchBuilder(
            compression: .none, producerID: producer.id, producerEpoch: producer.epoch, baseSequence: sequence)
        builder.append(record)
        var request = ProduceRequest()
        request.acks = -1
        request.timeoutMs = 30_000
        var wanted = ProduceRequest.Topic()
        wanted.name = topic
        wanted.partitions = [ProduceRequest.Partition(index: 0, records: builder.finish())]
        request.topics = [wanted]
        let response = try await client.send(request, version: Self.produceVersion)
        guard let code = response.topics.first?.partitions.first?.errorCode else {
            throw KafkaClient.Failure.unreadable("an empty produce response")
        }
        if code == .unknownTopicOrPartition { try await create(client) }
        guard code == .none else { throw code }
    }

    /// Asking for the metadata of a topic creates it where the gateway allows that.
    private func create(_ client: KafkaClient) async throws {
        var request = MetadataRequest()
        request.topics = [MetadataRequest.Topic(name: topic)]
        _ = try await client.send(request, version: 7)
    }
}
