/// How fast, when and how much a gateway uploads.
extension EdgeKeys {
    static let pacing: [SettingKey] = [
        SettingKey(
            "uplink.bandwidth", .size(0...(1 << 40)), "0",
            "Bytes a second that all uploads may take together; 0: no cap."),
        SettingKey(
            "uplink.burst", .size((4 << 10)...(64 << 20)), "64KiB",
            "Bytes that may leave at once after a pause, under a cap."),
        SettingKey(
            "uplink.backlog-share", .count(0...50), "10",
            "Percent of the bytes that a backlog gets while live data goes first."),
        SettingKey(
            "uplink.windows", .list, "",
            "Daily windows, the first that fits rules: HH:MM-HH:MM rate=SIZE|closed|open [lanes=A+B]"),
        SettingKey(
            "uplink.windows-zone", .choice(["utc", "local"]), "utc",
            "Whose time of day windows and months are in; local: the machine's time zone, with daylight saving."),
        SettingKey(
            "uplink.budget", .size(0...(1 << 50)), "0", "Data plan: bytes a month that uploads may send; 0: no limit."),
        SettingKey("uplink.budget-day", .count(1...28), "1", "Day of the month on which the data plan begins anew."),
        SettingKey(
            "uplink.budget-slow", .size(1024...(1 << 40)), "16KiB",
            "Bytes a second of a lane that the data plan slows down."),
        SettingKey(
            "uplink.budget-at-80", .list, "bulk=slow",
            "From 80% of the data plan: LANE=go-on|slow|stop; * is every other lane."),
        SettingKey(
            "uplink.budget-at-100", .list, "standard=slow,bulk=stop", "From 100% of the data plan: as budget-at-80."),
        SettingKey(
            "uplink.progress-timeout", .duration, "30s",
            "An upload of which the connection takes nothing for so long is broken off and repeated."),
    ]
}
