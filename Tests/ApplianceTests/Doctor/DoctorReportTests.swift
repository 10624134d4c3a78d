import Foundation
import Testing

@testable import Appliance

@Suite("Doctor: report and unit")
struct DoctorReportTests {
    static func report(_ verdicts: Finding.Verdict...) -> DoctorReport {
        DoctorReport(
            version: "1", role: "edge", config: "/c",
            findings: verdicts.map { Finding(check: "disk", verdict: $0, found: "f", advice: $0 == .good ? nil : "a") })
    }

    @Test("the exit code is that of the worst finding; what was skipped does not count")
    func exitCodes() {
        #expect(Self.report(.good, .skipped).exitCode == 0)
        #expect(Self.report(.good, .warning).exitCode == 1)
        #expect(Self.report(.warning, .failure, .good).exitCode == 2)
    }

    @Test("brief: what is to be done, and the summary")
    func brief() {
        let text = Self.report(.good, .warning).text(brief: true)
        #expect(!text.contains("good     disk"))
        #expect(text.contains("WARNING  disk"))
        #expect(text.hasSuffix("cairn doctor (edge): 1 good, 1 warnings, 0 failures\n"))
    }

    @Test("JSON has every finding and the exit code")
    func json() throws {
        let report = Self.report(.good, .failure)
        let data = Data(report.json().utf8)
        #expect(try JSONDecoder().decode(DoctorReport.self, from: data) == report)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["exitCode"] as? Int == 2)
    }

    static func unit(_ changes: [String: String]) -> [Finding] {
        var properties = [
            "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled",
            "NRestarts": "0", "Result": "success", "WatchdogUSec": "1min", "LimitMEMLOCK": "67108864",
            "LimitNOFILE": "65536",
        ]
        properties.merge(changes) { $1 }
        return UnitCheck.findings(
            UnitCheck.Facts(unit: "cairn-edge.service", properties: properties), connectionsMax: 1000)
    }

    @Test("a unit that runs is good, one that keeps ending is not")
    func units() {
        #expect(Self.unit([:]).map(\.verdict) == [.good, .good])
        #expect(Self.unit(["ActiveState": "failed", "Result": "watchdog"]).first?.verdict == .failure)
        #expect(Self.unit(["ActiveState": "activating", "SubState": "auto-restart"]).first?.verdict == .failure)
        #expect(Self.unit(["UnitFileState": "disabled"]).first?.verdict == .warning)
        #expect(Self.unit(["NRestarts": "3"]).first?.verdict == .warning)
        #expect(Self.unit(["ActiveState": "inactive", "SubState": "dead"]).first?.verdict == .good)
        #expect(Self.unit(["LoadState": "not-found"]).map(\.verdict) == [.skipped])
        #expect(Self.unit(["LimitMEMLOCK": "65536"]).last?.verdict == .warning)
        #expect(Self.unit(["LimitMEMLOCK": "infinity"]).last?.verdict == .good)
        #expect(Self.unit(["LimitNOFILE": "1024"]).map(\.verdict) == [.good, .warning])
    }

    @Test("systemctl's answer, line by line")
    func properties() {
        let facts = UnitCheck.Facts(unit: "u", text: "LoadState=loaded\nResult=\nX=a=b\n")
        #expect(facts.properties == ["LoadState": "loaded", "Result": "", "X": "a=b"])
    }

    @Test("an environment file as systemd reads it")
    func environment() {
        let text = """
            # secrets
            CAIRN_STORE_SECRET_KEY="a=b c"
              CAIRN_SITE=DAM01
            ;CAIRN_X=1
            nonsense
            """
        #expect(PackagedRole.variables(text) == ["CAIRN_STORE_SECRET_KEY": "a=b c", "CAIRN_SITE": "DAM01"])
    }

    @Test("work that does not end is left behind")
    func bounded() async {
        #expect(await Bounded.blocking(.seconds(30)) { 7 } == 7)
        let late = await Bounded.run(.milliseconds(50)) {
            try? await Task.sleep(for: .seconds(600))
            return 7
        }
        #expect(late == nil)
    }
}
