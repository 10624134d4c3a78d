import Cloud
import Console
import Ledger

/// Page, metrics and health of a cloud node.
enum CloudConsole {
    static func content(_ role: CloudRole) -> ConsoleContent {
        ConsoleContent(
            page: { page(role.broker.status()) }, metrics: { metrics(role.broker.status()) },
            problems: { role.broker.status(topicsMax: 0).problems }, announce: { await role.announce($0) })
    }

    private static func page(_ status: CloudStatus) -> String {
        var lines = ["cairn cloud node \(status.nodeID), epoch \(status.nodeEpoch)", ""]
        lines += status.problems.map { "! \($0)" }
        lines.append("sites and lanes: adopted object, newest visible LSN, records")
        for lane in status.lanes {
            lines.append("  \(lane.site)/\(lane.lane) \(lane.adoptedSequence) \(lane.adoptedLSN) \(lane.recordCount)")
        }
        if let volume = status.volume {
            lines += [
                "",
                "log of this node: \(volume.diskBytes) of \(volume.quotaBytes) bytes on disk,"
                    + " \(volume.waitingBytes + volume.uploadingBytes) in no object yet",
            ]
        }
        lines += ["", "topics: partition, first offset, high watermark, stored bytes"]
        for topic in status.topics {
            for partition in topic.partitions {
                let facts = partition.facts
                lines.append(
                    "  \(topic.name)-\(partition.index) \(facts.logStart) \(facts.highWatermark) \(facts.sizeBytes)")
            }
        }
        lines += ["", "groups \(status.groups), members \(status.groupMembers), waiting fetches \(status.waiting)"]
        return lines.joined(separator: "\n") + "\n"
    }

    private static func metrics(_ volume: VolumeCounts) -> [Metric] {
        [
            Metric(
                "cairn_volume_bytes_total", .counter, "Bytes of batches acknowledged from the node's log.",
                value: Double(volume.bytes)),
            Metric(
                "cairn_volume_disk_bytes", .gauge, "Bytes of the log on disk.", value: Double(volume.diskBytes)),
            Metric(
                "cairn_volume_waiting_bytes", .gauge, "Bytes that only the log holds.",
                value: Double(volume.waitingBytes + volume.uploadingBytes)),
            Metric(
                "cairn_volume_objects_total", .counter, "Objects made of the log.", value: Double(volume.objects)),
            Metric(
                "cairn_volume_refused_total", .counter, "Requests that the log did not take.",
                value: Double(volume.refused)),
        ]
    }

    private static func metrics(_ status: CloudStatus) -> [Metric] {
        var metrics = [
            Metric("cairn_up", .gauge, "1 while the process serves.", value: status.isServing ? 1 : 0),
            Metric("cairn_groups", .gauge, "Consumer groups known.", value: Double(status.groups)),
            Metric("cairn_fetch_waiting", .gauge, "Long polls that wait.", value: Double(status.waiting)),
            Metric(
                "cairn_read_failures_total", .counter, "Reads of objects that failed.",
                value: Double(status.readFailures)),
            Metric(
                "cairn_adopted_objects_total", .counter, "Site objects adopted since start.",
                value: Double(status.adoption.objects)),
            Metric(
                "cairn_adopted_records_total", .counter, "Records adopted since start.",
                value: Double(status.adoption.records)),
        ]
        if let volume = status.volume { metrics += self.metrics(volume) }
        for lane in status.lanes {
            let labels = [("site", lane.site), ("lane", lane.lane)]
            metrics.append(
                Metric(
                    "cairn_lane_adopted_lsn", .gauge, "Newest LSN that consumers see.", labels: labels,
                    value: Double(lane.adoptedLSN)))
            metrics.append(
                Metric(
                    "cairn_lane_missing_lsns", .counter, "LSNs that never came.", labels: labels,
                    value: Double(lane.missingLSNs)))
        }
        for topic in status.topics {
            for partition in topic.partitions {
                let labels = [("topic", topic.name), ("partition", "\(partition.index)")]
                metrics.append(
                    Metric(
                        "cairn_partition_high_watermark", .gauge, "Next offset.", labels: labels,
                        value: Double(partition.facts.highWatermark)))
            }
        }
        return metrics
    }
}
