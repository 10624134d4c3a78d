import Console
import Edge
import Uplink
import WriteAheadLog

/// Page, metrics and health of a gateway.
enum EdgeConsole {
    static func content(_ role: EdgeRole) -> ConsoleContent {
        ConsoleContent(page: { page(role) }, metrics: { metrics(role) }, problems: { role.problems })
    }

    private static func page(_ role: EdgeRole) -> String {
        let status = role.gateway.status()
        var lines = ["cairn gateway \(role.site), incarnation \(role.incarnation)", ""]
        lines += role.problems.map { "! \($0)" }
        lines.append("lanes: accepted, durable, uploaded LSN, records, log on disk")
        for lane in status.lanes {
            let log = lane.log
            lines.append(
                "  \(lane.settings.name) \(log.acceptedLSN) \(log.durableLSN) \(log.uploadedLSN) \(log.durableRecords) "
                    + "\(LiveScreen.bytes(log.diskBytes)) of \(LiveScreen.bytes(log.quotaBytes)) \(log.engine)")
        }
        let dropped = status.lanes.filter { !$0.log.dropped.isEmpty }
        if !dropped.isEmpty {
            lines += ["", "data given up before it was uploaded, since the lane was made"]
            lines += dropped.map { "  \($0.settings.name) \(Self.dropped($0.log))" }
        }
        lines += ["", "uplink: next object, phase, last error"]
        for lane in role.uploads {
            lines.append("  \(lane.lane) \(lane.nextSequence) \(lane.phase.rawValue) \(lane.lastError ?? "-")")
        }
        lines += ["", "listeners: connections open, bytes, frames, unframed bytes, records durable, refused"]
        for intake in status.intakes {
            let counters = intake.counters
            lines.append(
                "  \(intake.name) \(counters.connectionsOpen) \(counters.bytesReceived) \(counters.framesAccepted) "
                    + "\(counters.bytesUnframed) \(counters.recordsDurable) \(counters.recordsRefused)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `1200 records, 3.2 MiB (quotaBytes)` for each reason.
    static func dropped(_ log: WriteAheadLog.LaneStatus) -> String {
        log.dropped.sorted { $0.key < $1.key }
            .map { "\($1.records) records, \(LiveScreen.bytes(Int($1.bytes))) (\($0.label))" }.joined(separator: ", ")
    }

    private static func metrics(_ role: EdgeRole) -> [Metric] {
        let status = role.gateway.status()
        var metrics: [Metric] = []
        for lane in status.lanes {
            let (labels, log) = ([("lane", lane.settings.name)], lane.log)
            func add(_ name: String, _ kind: Metric.Kind, _ help: String, _ value: Double) {
                metrics.append(Metric("cairn_lane_" + name, kind, help, labels: labels, value: value))
            }
            add("accepted_lsn", .gauge, "Newest LSN taken in.", Double(log.acceptedLSN))
            add("durable_lsn", .gauge, "Newest LSN on disk.", Double(log.durableLSN))
            add("uploaded_lsn", .gauge, "Newest LSN in the object store.", Double(log.uploadedLSN))
            add("records_total", .counter, "Records made durable.", Double(log.durableRecords))
            add("bytes_total", .counter, "Bytes of record batches made durable.", Double(log.durableBytes))
            add("groups_total", .counter, "Group commits, one fdatasync each.", Double(log.groups))
            add("rejected_total", .counter, "Batches rejected.", Double(log.rejectedBatches))
            add("duplicates_total", .counter, "Batches recognised as sent again.", Double(log.duplicateBatches))
            add("disk_bytes", .gauge, "Log on disk.", Double(log.diskBytes))
            add("quota_bytes", .gauge, "Disk the lane may use.", Double(log.quotaBytes))
            for (reason, sums) in log.dropped.sorted(by: { $0.key < $1.key }) {
                let labels = labels + [("reason", reason.label)]
                metrics.append(
                    Metric(
                        "cairn_lane_dropped_records_total", .counter, "Acknowledged records given up before their upload.",
                        labels: labels, value: Double(sums.records)))
                metrics.append(
                    Metric(
                        "cairn_lane_dropped_bytes_total", .counter, "Bytes of batches given up before their upload.",
                        labels: labels, value: Double(sums.bytes)))
            }
            add("pending_gaps", .gauge, "Gap records that no stored object carries yet.", Double(log.pendingGaps))
            add("quarantined_total", .counter, "Damaged ranges put aside.", Double(log.alarms.quarantinedRanges))
        }
        for lane in role.uploads {
            let labels = [("lane", lane.lane)]
            metrics.append(
                Metric(
                    "cairn_uplink_objects_total", .counter, "Objects uploaded.", labels: labels,
                    value: Double(lane.uploadedObjects)))
            metrics.append(
                Metric(
                    "cairn_uplink_object_bytes_total", .counter, "Bytes uploaded.", labels: labels,
                    value: Double(lane.uploadedObjectBytes)))
            metrics.append(
                Metric(
                    "cairn_uplink_failures_total", .counter, "Attempts that failed.", labels: labels,
                    value: Double(lane.failedAttempts)))
        }
        for intake in status.intakes {
            let (labels, counters) = ([("listener", intake.name)], intake.counters)
            metrics.append(
                Metric(
                    "cairn_intake_bytes_total", .counter, "Bytes from terminals.", labels: labels,
                    value: Double(counters.bytesReceived)))
            metrics.append(
                Metric(
                    "cairn_intake_frames_total", .counter, "Frames with a right checksum.", labels: labels,
                    value: Double(counters.framesAccepted)))
            metrics.append(
                Metric(
                    "cairn_intake_connections", .gauge, "Open connections.", labels: labels,
                    value: Double(counters.connectionsOpen)))
        }
        return metrics
    }
}

extension GapReason {
    /// As metrics and `cairn gaps` name it.
    var label: String {
        switch self {
        case .quotaBytes: "quota-bytes"
        case .quotaAge: "quota-age"
        case .unreadable: "unreadable"
        case .salvage: "salvage"
        case .diskFull: "disk-full"
        }
    }
}
