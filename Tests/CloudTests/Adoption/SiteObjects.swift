import KafkaProtocol
import Logging
import NIOCore
import ObjectStore
import SharedObject

@testable import Cloud

/// What a gateway would have uploaded.
struct SiteObjects {
    static let incarnation = "0123456789abcdef0123456789abcdef"
    var site = "mine"
    var lane = "standard"

    func key(_ sequence: UInt64) -> String {
        ObjectKeys.site(site: site, incarnation: Self.incarnation, lane: lane, sequence: sequence)
    }

    /// LSNs are ten per object, local offsets count records.
    func body(_ sequence: UInt64, topic: String = "t", partition: Int32 = 0, values: [String]) throws -> ByteBuffer {
        let header = ObjectHeader.site(
            site, incarnation: Self.incarnation, lane: lane, sequence: sequence, firstLSN: sequence * 10 - 9,
            lastLSN: sequence * 10, createdMs: 5)
        var writer = try ObjectWriter(header: header)
        for (index, value) in values.enumerated() {
            try writer.append(
                Batches.make([value]), topic: topic, partition: partition,
                localOffset: Int64(sequence) * 1_000 + Int64(index))
        }
        return writer.finish().body
    }

    @discardableResult
    func put(
        _ sequence: UInt64, into store: any ObjectStore, topic: String = "t", partition: Int32 = 0,
        values: [String]? = nil
    ) async throws -> String {
        let body = try body(
            sequence, topic: topic, partition: partition, values: values ?? ["\(sequence).0", "\(sequence).1"])
        _ = try await store.put(key(sequence), body, ifAbsent: false)
        return key(sequence)
    }
}

extension BrokerWorld {
    /// Adopters as other processes would have them, over the same store and ledger: they know nothing of each other.
    func adopters(_ count: Int) -> [Adopter] {
        let wall = wall
        return (0..<count).map { _ in
            Adopter(
                configuration: Self.settings().adoption, partitionsDefault: 1, store: store, ledger: ledger,
                world: CloudWorld(wallMs: { wall.ms }), now: { .now() },
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
    }
}
