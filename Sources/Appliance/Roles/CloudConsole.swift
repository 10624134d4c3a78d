import Cloud
import Console
import Edge
import Ledger
import Logging
import ObjectStore
import TransportTLS

/// Page, metrics and health of a cloud node.
enum CloudConsole {
    /// Throws for certificates that cannot be used.
    static func server(_ role: CloudRole, at http: HostPort, logger: Logger) throws -> ConsoleServer {
        let tls = try role.settings.tls.map { tls in
            try ConsoleTLS {
                let (configuration, bytes) = try tls.read()
                let chain = CertificateFacts.chain(configuration)
                return ConsoleTLS.Material(
                    configuration: configuration, bytes: bytes,
                    ending: { CertificateFacts.ending(chain, SystemWallClock().certificateTime) })
            }
        }
        return ConsoleServer(host: http.host, port: http.port, content: content(role), tls: tls, logger: logger)
    }

    static func content(_ role: CloudRole) -> ConsoleContent {
        ConsoleContent(
            page: { page(role.broker.status()) },
            metrics: { metrics(role.broker.status()) + refused(role.broker.sites) },
            problems: { role.problems },
            endpoints: [CloudAnnounce.endpoint(role), gaps(role)] + SiteEndpoints.all(role))
    }

    /// `GET /v1/gaps`: what sites gave up, of `site` and `lane` or of all.
    private static func gaps(_ role: CloudRole) -> ConsoleEndpoint {
        ConsoleEndpoint(.get, "/v1/gaps") { call in
            let (site, lane) = (call.parameter("site"), call.parameter("lane"))
            return ConsoleAnswer(200, json: GapReport(role.broker.adopter.lanes(), site: site, lane: lane).json)
        }
    }

    private static func refused(_ sites: SiteRegistry) -> [Metric] {
        sites.refusedCounts.sorted { $0.key < $1.key }.map { reason, count in
            Metric(
                "cairn_announcements_refused_total", .counter, "Announcements whose sender was not accepted.",
                labels: [("reason", reason)], value: Double(count))
        }
    }

    private static func page(_ status: CloudStatus) -> String {
        var lines = ["cairn cloud node \(status.nodeID), epoch \(status.nodeEpoch)", ""]
        lines += status.problems.map { "! \($0)" }
        lines.append("sites and lanes: adopted object, newest visible LSN, records")
        for lane in status.lanes {
            lines.append("  \(lane.site)/\(lane.lane) \(lane.adoptedSequence) \(lane.adoptedLSN) \(lane.recordCount)")
        }
        let gaps = GapReport(status.lanes, site: nil, lane: nil)
        if !gaps.lanes.isEmpty { lines += ["", "data that sites gave up: cairn gaps shows where"] + gaps.summary }
        if let volume = status.volume {
            lines += [
                "",
                "log of this node: \(volume.diskBytes) of \(volume.quotaBytes) bytes on disk,"
                    + " \(volume.waitingBytes + volume.uploadingBytes) in no object yet",
            ]
        }
        let store = status.store
        let ratio = store.requestsPerGBPut.map { ", \(Int($0.rounded())) requests for each GB written" } ?? ""
        lines += [
            "",
            "store: \(store.puts) PUT, \(store.gets) GET, \(store.lists) LIST, \(store.deletes) DELETE,"
                + " \(store.bytesPut) bytes written, \(store.bytesGot) read\(ratio)",
        ]
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

    private static func metrics(_ store: StoreCounts) -> [Metric] {
        let requests: [(String, UInt64)] = [
            ("put", store.puts), ("get", store.gets), ("head", store.heads), ("list", store.lists),
            ("delete", store.deletes),
        ]
        var metrics = requests.map { operation, count in
            Metric(
                "cairn_store_requests_total", .counter, "Requests to the object store, failed ones included.",
                labels: [("operation", operation)], value: Double(count))
        }
        metrics += [
            Metric(
                "cairn_store_failures_total", .counter, "Requests to the object store that failed.",
                value: Double(store.failures)),
            Metric(
                "cairn_store_put_bytes_total", .counter, "Bytes of objects written.", value: Double(store.bytesPut)),
            Metric("cairn_store_got_bytes_total", .counter, "Bytes read.", value: Double(store.bytesGot)),
        ]
        if let ratio = store.requestsPerGBPut {
            metrics.append(
                Metric(
                    "cairn_store_requests_per_gb", .gauge, "Requests for each 10^9 bytes written, since the start.",
                    value: ratio))
        }
        return metrics
    }

    private static func metrics(_ housekeeping: HousekeepingCounts) -> [Metric] {
        let numbers: [(String, String, UInt64)] = [
            ("compactions", "Passes of compaction over a partition.", housekeeping.compactions),
            ("merges", "Objects made of many small ones.", housekeeping.merges),
            ("failures", "Jobs that failed and are tried again.", housekeeping.failures),
            ("read_bytes", "Bytes read in order to be rewritten.", housekeeping.bytesRead),
            ("written_bytes", "Bytes rewritten.", housekeeping.bytesWritten),
            ("extents_replaced", "Extents that others took the place of.", housekeeping.extentsReplaced),
            ("records_removed", "Records that compaction removed.", housekeeping.recordsRemoved),
        ]
        return numbers.map { name, help, value in
            Metric("cairn_housekeeping_\(name)_total", .counter, help, value: Double(value))
        }
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
        metrics.append(
            Metric(
                "cairn_quarantined_lanes", .gauge, "Lanes of sites that wait for an object that does not fit.",
                value: Double(status.lanes.count { $0.quarantine != nil })))
        metrics += self.metrics(status.store) + self.metrics(status.housekeeping)
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
        for lane in GapReport(status.lanes, site: nil, lane: nil).lanes {
            for sums in lane.totals {
                let labels = [("site", lane.site), ("lane", lane.lane), ("reason", sums.reason)]
                metrics.append(
                    Metric(
                        "cairn_lane_dropped_records_total", .counter, "Records that the site gave up and told of.",
                        labels: labels, value: Double(sums.records)))
                metrics.append(
                    Metric(
                        "cairn_lane_dropped_bytes_total", .counter, "Bytes of batches that the site gave up.",
                        labels: labels, value: Double(sums.bytes)))
            }
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
