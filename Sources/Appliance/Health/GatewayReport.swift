import Edge
import Foundation
import Glibc
import SiteAuthority
import Uplink
import WriteAheadLog

/// What a gateway says of itself in `/status.json`, in its state file and to `cairn status`.
struct GatewayReport: Codable, Equatable, Sendable {
    struct Lane: Codable, Equatable, Sendable {
        var name: String
        /// Bytes and age of what is durable here and not in the store. The age is by the wall clock that stamped it.
        var backlogBytes: Int
        var backlogAgeMs: Int64?
        /// Until the backlog is gone, at the rates of the last minute; nil when it does not shrink.
        var etaSeconds: Int?
        var inBytesPerSecond: Double
        var outBytesPerSecond: Double
        var acceptedLSN: UInt64
        var durableLSN: UInt64
        var uploadedLSN: UInt64
        var adoptedObject: UInt64?
        var records: UInt64
        var bytes: UInt64
        var rejectedBatches: UInt64
        var lostLSNs: UInt64
        var diskBytes: Int
        var quotaBytes: Int
        var phase: String?
        /// Since the last upload that succeeded; nil before the first one of this process.
        var lastSuccessSecondsAgo: Int?
        var lastError: String?
        var linkBytesPerSecond: Double?
    }

    struct Disk: Codable, Equatable, Sendable {
        var freeBytes: Int
        var totalBytes: Int
    }

    struct SystemClock: Codable, Equatable, Sendable {
        var wallMs: Int64
        /// What the kernel's clock discipline says: adjtimex(2).
        var isSynchronised: Bool
    }

    struct Listener: Codable, Equatable, Sendable {
        var name: String
        var connections: Int
        var bytes: UInt64
        var frames: UInt64
        var refused: UInt64
    }

    var version: String
    var role = "edge"
    var site: String
    var incarnation: String
    var uptimeSeconds: Int
    var writtenAtMs: Int64
    var isAccepting: Bool
    var lanes: [Lane]
    /// Pace of the uplink: cap, window, data plan; nil without one.
    var uplink: UplinkReport?
    /// Image and update; nil without an uplink.
    var update: UpdateReport?
    /// Whether an image that is on trial may be kept, and why not yet.
    var confirmable: Bool?
    var confirmableReasons: [String]?
    var listeners: [Listener]
    var disk: Disk?
    var clock: SystemClock
    /// Sentences about what an operator should look at.
    var alarms: [String]

    var isHealthy: Bool { alarms.isEmpty && isAccepting }

    func json() -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(self) else { return "{}" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}

extension GatewayReport.Disk {
    /// Of the file system that holds `path`.
    init?(path: String) {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        let unit = Int(facts.f_frsize)
        freeBytes = Int(facts.f_bavail) * unit
        totalBytes = Int(facts.f_blocks) * unit
    }
}

extension GatewayReport.SystemClock {
    static func now() -> Self {
        let reading = SystemWallClock().read()
        return Self(
            wallMs: reading.wallMs, isSynchronised: reading.quality.rawValue >= ClockQuality.synchronized.rawValue)
    }
}
