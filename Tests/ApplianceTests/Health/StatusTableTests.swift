import Foundation
import Testing

@testable import Appliance

@Suite("Gateway report")
struct GatewayReportTests {
    static let report = GatewayReport(
        version: "1.2.3", site: "ridge-7", incarnation: "00ff", uptimeSeconds: 90_000, writtenAtMs: 1_000_000,
        isAccepting: true,
        lanes: [
            GatewayReport.Lane(
                name: "critical", backlogBytes: 3 << 20, backlogAgeMs: 7_300_000, etaSeconds: 200,
                inBytesPerSecond: 2048, outBytesPerSecond: 4096, acceptedLSN: 9, durableLSN: 9, uploadedLSN: 5,
                adoptedObject: 4, records: 100, bytes: 1000, rejectedBatches: 0, lostLSNs: 2, diskBytes: 4 << 20,
                quotaBytes: 4 << 30, phase: "resting", lastSuccessSecondsAgo: 61, lastError: "put: timed out",
                linkBytesPerSecond: 5000),
            GatewayReport.Lane(
                name: "bulk", backlogBytes: 0, backlogAgeMs: nil, etaSeconds: 0, inBytesPerSecond: 0,
                outBytesPerSecond: 0, acceptedLSN: 0, durableLSN: 0, uploadedLSN: 0, adoptedObject: nil, records: 0,
                bytes: 0, rejectedBatches: 0, lostLSNs: 0, diskBytes: 0, quotaBytes: 4 << 30, phase: "waiting",
                lastSuccessSecondsAgo: nil, lastError: nil, linkBytesPerSecond: nil),
        ],
        uplink: nil, listeners: [.init(name: "ntrip", connections: 3, bytes: 5000, frames: 77, refused: 1)],
        disk: .init(freeBytes: 1 << 30, totalBytes: 8 << 30), clock: .init(wallMs: 1_000_000, isSynchronised: false),
        alarms: ["lane critical: the disk refuses writes"])

    @Test("survives its own JSON")
    func json() throws {
        let data = Data(Self.report.json().utf8)
        #expect(try JSONDecoder().decode(GatewayReport.self, from: data) == Self.report)
        #expect(!Self.report.isHealthy)
    }

    @Test("the table says what a person asks first")
    func table() {
        let text = StatusTable.text(Self.report, ageSeconds: 40)
        for part in [
            "site ridge-7   cairn 1.2.3   up 25 h   accepting", "its last report is 40 s old",
            "! lane critical: the disk refuses writes", "3.0 MiB", "2 h", "3 min", "61 s ago",
            "critical: put: timed out", "critical: 2 batches cannot be read any more", "none yet",
            "1.0 GiB free of 8.0 GiB", "clock  not synchronised",
        ] {
            #expect(text.contains(part), "\(part) in\n\(text)")
        }
        #expect(!StatusTable.text(Self.report, ageSeconds: nil).contains("does not answer"))
    }

    @Test("the state file is replaced whole, and a directory that cannot be written costs nothing")
    func stateFile() throws {
        let directory = NSTemporaryDirectory() + "cairn-state-\(UInt64.random(in: .min ... .max))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let path = StateFile.path(dataDirectory: directory, environment: [:])
        StateFile.write("first", to: path)
        StateFile.write("second", to: path)
        #expect(FileManager.default.contents(atPath: path) == Data("second".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == [StateFile.name])
        StateFile.write("x", to: "/nowhere/\(StateFile.name)")
        #expect(
            StateFile.path(dataDirectory: "/d", environment: ["RUNTIME_DIRECTORY": "/run/a:/run/b"])
                == "/run/a/status.json")
    }
}
