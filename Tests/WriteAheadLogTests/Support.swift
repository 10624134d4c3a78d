import Foundation
import KafkaProtocol
import NIOCore
import Sealing
import Testing

@testable import WriteAheadLog

/// SplitMix64: small, and the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

enum Make {
    /// An entry of `records` records whose values together are about `bytes` bytes and start with `text`.
    static func entry(
        _ topic: String = "gnss", partition: Int32 = 0, records: Int = 1, bytes: Int = 40, text: String = "",
        timestampMs: Int64 = 1_700_000_000_000, producerID: Int64 = -1, epoch: Int16 = 0, sequence: Int32 = -1
    ) -> LogEntry {
        var builder = RecordBatchBuilder(
            producerID: producerID, producerEpoch: producerID < 0 ? -1 : epoch,
            baseSequence: producerID < 0 ? -1 : sequence)
        for number in 0..<records {
            var value = ByteBuffer(string: text)
            value.writeRepeatingByte(UInt8(truncatingIfNeeded: number &+ 65), count: max(1, bytes / records))
            builder.append(timestampMs: timestampMs + Int64(number), value: value)
        }
        let batch = builder.finish()
        do {
            let header = try RecordBatch.validateOne(batch)
            return LogEntry(
                topic: topic, partition: partition, batch: batch, header: header, wallMs: timestampMs,
                monotonicNs: UInt64(timestampMs), clockQuality: .gnss)
        } catch {
            Issue.record("the builder made a batch that is not valid: \(error)")
            preconditionFailure("\(error)")
        }
    }

    /// Small enough that a few dozen batches fill segments.
    static func configuration(_ directory: String = "/nowhere") -> LaneConfiguration {
        LaneConfiguration(
            name: "test", directory: directory, segmentSizeBytes: 256 << 10, quotaBytes: 4 << 20,
            commitWindow: .zero, groupBytesMax: 32 << 10, pendingBytesMax: 1 << 20, producersMax: 64,
            partitionsMax: 64)
    }

    static func core(
        _ disk: SimulatedDisk, seed: UInt64 = 1, sealing: LogSealing? = nil,
        _ change: (inout LaneConfiguration) -> Void = { _ in }
    ) throws -> (core: LaneCore<SimulatedDisk>, report: RecoveryReport) {
        var configuration = configuration()
        change(&configuration)
        var core = try LaneCore(configuration: configuration, disk: disk, saltSeed: seed, sealing: sealing)
        let report = try core.recover()
        return (core, report)
    }
}

extension Make {
    /// A ring of keys of these names; the same name always has the same key unless `salt` differs.
    static func ring(_ names: String..., salt: UInt8 = 0) throws -> KeyRing {
        let keys = try names.map { name in
            let bytes = (0..<32).map { UInt8(truncatingIfNeeded: $0 &* 7) ^ (Array(name.utf8)[0] &+ salt) }
            let secret = try #require(SecretKey(bytes: bytes))
            return try #require(KeyRing.Key(id: name, secret: secret))
        }
        return try #require(KeyRing(keys))
    }

    static func sealing(_ names: String..., seals: Bool = true) throws -> LogSealing {
        let rings = try names.map { try ring($0) }
        let all = try #require(KeyRing(rings.flatMap(\.keys)))
        return LogSealing(ring: { all }, seals: seals)
    }
}

extension AppendOutcome {
    var lsn: UInt64? {
        if case .appended(let lsn, _) = self { return lsn }
        return nil
    }
    var offset: Int64? {
        switch self {
        case .appended(_, let offset), .duplicate(let offset): offset
        case .rejected: nil
        }
    }
    var rejection: AppendRejection? {
        if case .rejected(let rejection) = self { return rejection }
        return nil
    }
}

extension LaneCore {
    /// Everything readable from `lsn` on, in small steps so that resuming is used too.
    func readAll(from lsn: UInt64 = 1) throws -> LogSlice {
        var all = LogSlice(nextLSN: lsn)
        while all.nextLSN <= durableLSN {
            let slice = try read(from: all.nextLSN, maxBytes: 10_000, maxCount: 7)
            guard slice.nextLSN > all.nextLSN else {
                Issue.record("read from \(all.nextLSN) does not move")
                break
            }
            all.batches += slice.batches
            all.gaps += slice.gaps
            all.nextLSN = slice.nextLSN
        }
        return all
    }
}

/// A directory of the real file system, removed at the end.
final class TemporaryDirectory {
    let path: String

    init(under parent: String = NSTemporaryDirectory()) {
        path = parent + (parent.hasSuffix("/") ? "" : "/") + "cairn-wal-" + UUID().uuidString
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func files(_ suffix: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { $0.hasSuffix(suffix) }.sorted()
    }

    func contents(_ name: String) -> Data { FileManager.default.contents(atPath: path + "/" + name) ?? Data() }

    func write(_ name: String, _ data: Data) throws { try data.write(to: URL(fileURLWithPath: path + "/" + name)) }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }
}
