import Cloud
import FoundationEssentials
import Ledger
import NIOCore
import WriteAheadLog

/// What sites gave up, as a cloud node knows it: the JSON of `GET /v1/gaps` and what `cairn gaps` prints.
struct GapReport: Codable, Equatable {
    struct Lane: Codable, Equatable {
        var site: String
        var incarnation: String
        var lane: String
        /// Sums over every gap there ever was, by reason.
        var totals: [Totals]
        /// The newest gaps, oldest first; older ones are in the sums only.
        var gaps: [Gap]
    }

    struct Totals: Codable, Equatable {
        var reason: String
        var gaps: Int64
        var records: Int64
        var batches: Int64
        var bytes: Int64
    }

    struct Gap: Codable, Equatable {
        var reason: String
        var firstLSN: UInt64
        var lastLSN: UInt64
        /// The object that told of it, and when it was adopted, ms since 1970-01-01 UTC.
        var sequence: UInt64
        var adoptedMs: Int64
        var records: Int64
        var batches: Int64
        var bytes: Int64
        var partitions: [Partition]
        /// Partitions that are not listed but counted above.
        var otherPartitions: Int32
    }

    struct Partition: Codable, Equatable {
        var topic: String
        var partition: Int32
        /// The records are missing before this offset of the cloud's partition.
        var cloudOffset: Int64
        var firstLocalOffset: Int64
        var lastLocalOffset: Int64
        var records: Int64
        var batches: Int64
        var bytes: Int64
        var firstWallMs: Int64
        var lastWallMs: Int64
    }

    /// Only lanes with gaps.
    var lanes: [Lane]

    init(_ lanes: [Cloud.LaneStatus], site: String?, lane: String?) {
        self.lanes = lanes.filter { !$0.gapTotals.isEmpty && $0.site == site ?? $0.site && $0.lane == lane ?? $0.lane }
            .map(Lane.init)
    }

    var json: ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and integers always encode.
        return ByteBuffer(bytes: (try? encoder.encode(self)) ?? Data())
    }

    /// A line for each lane and reason.
    var summary: [String] {
        lanes.flatMap { lane in
            lane.totals.map {
                "  \(lane.site)/\(lane.lane) \($0.reason): \($0.records) records, \($0.bytes) bytes in \($0.gaps) gaps"
            }
        }
    }

    /// The table that people read.
    var table: [String] {
        guard !lanes.isEmpty else { return ["no gaps"] }
        var lines: [String] = []
        for lane in lanes {
            lines += lane.totals.map {
                "\(lane.site)/\(lane.lane): \($0.reason): \($0.records) records in \($0.batches) batches, \($0.bytes) bytes,"
                    + " \($0.gaps) gaps"
            }
            for gap in lane.gaps {
                lines.append(
                    "  LSN \(gap.firstLSN)-\(gap.lastLSN) \(gap.reason) \(gap.records) records, told by object"
                        + " \(gap.sequence)")
                lines += gap.partitions.map { part in
                    "    \(part.topic)-\(part.partition) before offset \(part.cloudOffset): \(part.records) records,"
                        + " site offsets \(part.firstLocalOffset)-\(part.lastLocalOffset), \(part.bytes) bytes,"
                        + " \(Self.time(part.firstWallMs)) to \(Self.time(part.lastWallMs))"
                }
                if gap.otherPartitions > 0 { lines.append("    and \(gap.otherPartitions) more partitions") }
            }
        }
        return lines
    }

    private static func time(_ ms: Int64) -> String {
        ms == 0 ? "?" : Date(timeIntervalSince1970: Double(ms) / 1000).formatted(.iso8601)
    }
}

extension GapReport.Lane {
    init(_ status: Cloud.LaneStatus) {
        self.init(
            site: status.site, incarnation: status.incarnation, lane: status.lane,
            totals: status.gapTotals.sorted { $0.key < $1.key }.map { reason, sums in
                GapReport.Totals(
                    reason: GapReport.label(reason), gaps: sums.gaps, records: sums.records, batches: sums.batches,
                    bytes: sums.bytes)
            }, gaps: status.gaps.map(GapReport.Gap.init))
    }
}

extension GapReport.Gap {
    init(_ adopted: AdoptedGap) {
        let (gap, sums) = (adopted.gap, adopted.gap.totals)
        self.init(
            reason: GapReport.label(gap.reason), firstLSN: gap.firstLSN, lastLSN: gap.lastLSN,
            sequence: adopted.sequence, adoptedMs: adopted.adoptedMs, records: sums.records, batches: sums.batches,
            bytes: sums.bytes,
            partitions: gap.items.map { item in
                GapReport.Partition(
                    topic: item.topic, partition: item.partition, cloudOffset: item.cloudOffset,
                    firstLocalOffset: item.firstLocalOffset, lastLocalOffset: item.lastLocalOffset,
                    records: item.recordCount, batches: item.batchCount, bytes: item.sizeBytes,
                    firstWallMs: item.firstWallMs, lastWallMs: item.lastWallMs)
            }, otherPartitions: gap.rest.partitionCount)
    }
}

extension GapReport {
    /// A newer site may have reasons that this binary has no word for.
    fileprivate static func label(_ reason: UInt8) -> String {
        GapReason(rawValue: reason)?.label ?? "reason-\(reason)"
    }
}
