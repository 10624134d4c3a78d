import Testing
import Uplink

@testable import Appliance

@Suite("Pacing settings")
struct PacingSettingsTests {
    @Test(
        "windows are read as written",
        arguments: [
            (
                "22:00-06:00 rate=2MiB",
                DailyWindow(startMinute: 1320, endMinute: 360, rule: .cap(bytesPerSecond: 2 << 20))
            ),
            (
                "08:00-18:00 closed lanes=bulk+standard",
                DailyWindow(startMinute: 480, endMinute: 1080, rule: .closed, lanes: ["bulk", "standard"])
            ),
            ("00:00-24:00 open", DailyWindow(startMinute: 0, endMinute: 0, rule: .open)),
        ])
    func windows(text: String, window: DailyWindow) throws {
        #expect(try UplinkPacingSettings.window(text) == window)
    }

    @Test(
        "a window that says nothing clear is refused",
        arguments: [
            "", "22:00", "22:00-6:00 closed", "24:00-06:00 closed", "08:00-18:60 closed", "08:00-18:00",
            "08:00-18:00 shut",
            "08:00-18:00 rate=5", "08:00-18:00 rate=fast", "-1:00-18:00 closed", "08:00-18:00-19:00 open",
        ])
    func refused(text: String) {
        #expect(throws: SettingValue.Malformed.self) { try UplinkPacingSettings.window(text) }
    }

    @Test("every problem is named; the defaults have none")
    func problems() async throws {
        func found(_ flags: [String]) async throws -> [String] {
            let reader = try await SettingsReader(keys: EdgeKeys.all, file: nil, flags: flags, environment: [:])
            _ = UplinkPacingSettings(reader, prefix: "uplink.")
            do {
                try reader.finish()
                return []
            } catch {
                return error.problems.map(\.name)
            }
        }
        #expect(try await found([]) == [])
        #expect(try await found(["--uplink-budget-at-80", "bulk=later"]) == ["uplink.budget-at-80"])
        #expect(try await found(["--uplink-windows", "08:00-18:00 shut"]) == ["uplink.windows"])
        #expect(try await found(["--uplink-bandwidth", "10"]) == ["uplink.bandwidth"])
        #expect(try await found(["--uplink-progress-timeout", "1ms"]) == ["uplink.progress-timeout"])
    }
}
