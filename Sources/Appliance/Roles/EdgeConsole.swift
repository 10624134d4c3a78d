import Console
import Dispatch
import Edge
import NIOCore
import SiteAuthority
import Uplink
import WriteAheadLog

/// Page, metrics and health of a gateway.
enum EdgeConsole {
    static func content(_ role: EdgeRole, _ health: EdgeHealth) -> ConsoleContent {
        ConsoleContent(
            page: { page(role) }, metrics: { metrics(role) + uplinkMetrics(role) + updateMetrics(role) },
            problems: { health.problems },
            endpoints: [
                ConsoleEndpoint(.get, "/status.json") { _ in
                    ConsoleAnswer(200, json: ByteBuffer(string: await onReportThread { health.report().json() }))
                }
            ] + UplinkEndpoints.all(role))
    }

    private static let reportThread = DispatchQueue(label: "cairn.report", qos: .utility)

    /// One report at a time, away from event loops: it reads from the disk.
    private static func onReportThread(_ work: @escaping @Sendable () -> String) async -> String {
        await withCheckedContinuation { continuation in
            reportThread.async { continuation.resume(returning: work()) }
        }
    }

    private static func uplinkMetrics(_ role: EdgeRole) -> [Metric] {
        guard let report = role.uplinkReport else { return [] }
        var metrics: [Metric] = []
        func add(_ name: String, _ help: String, _ value: Double?, _ labels: [(String, String)] = []) {
            guard let value else { return }
            metrics.append(Metric("cairn_uplink_" + name, .gauge, help, labels: labels, value: value))
        }
        add("paused", "1 while uploads are paused by command.", report.isPaused ? 1 : 0)
        add(
            "link_bytes_per_second", "What uploads were seen to reach together.",
            report.linkBytesPerSecond.map(Double.init))
        add(
            "cap_bytes_per_second", "The cap of the link now; absent without one.",
            report.capBytesPerSecond.map(Double.init))
        add(
            "clock_known", "0 while the wall clock cannot be right and windows are taken as open.",
            report.isClockKnown ? 1 : 0)
        add("budget_used_bytes", "Bytes sent in this month of the data plan.", Double(report.budgetUsedBytes))
        add("budget_bytes", "The data plan; absent without one.", report.budgetBytes.map(Double.init))
        for lane in report.lanes {
            let labels = [("lane", lane.lane)]
            add("lane_bytes_per_second", "Bytes sent a second, over ten seconds.", Double(lane.bytesPerSecond), labels)
            add("backlog_lsns", "Durable LSNs that are not in the store.", Double(lane.backlogLSNs), labels)
            if let hold = lane.hold {
                add("held", "1 while the lane may begin no upload.", 1, labels + [("reason", hold)])
            }
            add("next_try_seconds", "Until the lane tries or looks again.", lane.nextTrySeconds, labels)
        }
        return metrics
    }

    private static func updateMetrics(_ role: EdgeRole) -> [Metric] {
        guard let update = role.updateReport else { return [] }
        return [
            Metric(
                "cairn_update_info", .gauge, "1, labelled with image and update.",
                labels: [
                    ("state", update.state.rawValue), ("version", update.version ?? ""), ("build", update.build ?? ""),
                    ("target", update.target ?? ""),
                ], value: 1)
        ]
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
        lines += role.uplinkReport.map { [""] + $0.lines } ?? []
        if let update = role.updateReport, update.version != nil || update.target != nil {
            lines += ["", "image: \(update.line)"]
        }
        let groups = status.groups
        lines += ["", "consumer groups: \(groups.groups) with \(groups.offsets) offsets, \(groups.members) members"]
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
                        "cairn_lane_dropped_records_total", .counter,
                        "Acknowledged records given up before their upload.",
                        labels: labels, value: Double(sums.records)))
                metrics.append(
                    Metric(
                        "cairn_lane_dropped_bytes_total", .counter, "Bytes of batches given up before their upload.",
                        labels: labels, value: Double(sums.bytes)))
            }
            add("pending_gaps", .gauge, "Gap records that no stored object carries yet.", Double(log.pendingGaps))
            for (what, bytes) in [
                ("groups", log.written.groups), ("heads", log.written.heads), ("control", log.written.control),
                ("zeroes", log.written.zeroes), ("settled", log.written.settled), ("index", log.written.index),
            ] {
                metrics.append(
                    Metric(
                        "cairn_lane_written_bytes_total", .counter, "Bytes the log asked the disk to write.",
                        labels: labels + [("what", what)], value: Double(bytes)))
            }
            add(
                "write_amplification", .gauge, "Bytes written to the disk for each byte of record batches.",
                log.written.amplification(payloadBytes: log.durableBytes))
            add("scrub_read_bytes_total", .counter, "Bytes of closed segments read again.", Double(log.scrub.readBytes))
            add("scrub_rounds_total", .counter, "Rounds over all closed segments.", Double(log.scrub.rounds))
            add("scrub_damage_total", .counter, "Damage the scrubber found first.", Double(log.scrub.damagedRanges))
            add("lost_total", .counter, "Frames that were lost.", Double(log.alarms.lostLSNs))
            add(
                "suspect_segments_total", .counter, "Segments given up after a failed write or fsync.",
                Double(log.alarms.suspectSegments))
            add(
                "untouched_directories", .gauge,
                "Directories left alone because a newer cairn wrote them or their key is not here.",
                Double(log.alarms.untouchedDirectories))
            add("sealed", .gauge, "1: the newest segment is encrypted.", log.keyID == nil ? 0 : 1)
            add("boot_epoch", .gauge, "Which start of the log this is.", Double(log.bootEpoch))
            add("quarantined_total", .counter, "Damaged ranges put aside.", Double(log.alarms.quarantinedRanges))
        }
        let groups = status.groups
        metrics += [
            Metric(
                "cairn_local_groups", .gauge, "Consumer groups of the site with offsets.", value: Double(groups.groups)),
            Metric("cairn_local_group_members", .gauge, "Members of the site's groups.", value: Double(groups.members)),
            Metric("cairn_local_group_offsets", .gauge, "Offsets they have committed.", value: Double(groups.offsets)),
            Metric(
                "cairn_local_group_offsets_refused_total", .counter, "Offsets that were refused.",
                value: Double(groups.refusedOffsets)),
        ]
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
                    "cairn_uplink_redated_records_total", .counter,
                    "Records whose times were moved, the clock having become known after they came in.",
                    labels: labels, value: Double(lane.redatedRecords)))
            metrics.append(
                Metric(
                    "cairn_uplink_undated_records_total", .counter,
                    "Records marked cairn-clock: unknown, the clock not having been known.",
                    labels: labels, value: Double(lane.undatedRecords)))
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
            metrics.append(
                Metric(
                    "cairn_intake_refused_connections_total", .counter,
                    "Connections refused: over a limit, a wrong password, an unknown or taken mountpoint.",
                    labels: labels,
                    value: Double(counters.connectionsRefused)))
            metrics.append(
                Metric(
                    "cairn_intake_takeovers_total", .counter,
                    "NTRIP sources that were given the mountpoint of one that had fallen silent.", labels: labels,
                    value: Double(counters.takeovers)))
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
        case .diskFull: "disk-full"
        }
    }
}
