import Glibc
import ServiceLifecycle

/// Draws the live screen of `cairn up`: on a terminal in place, else one line every few seconds.
struct ScreenService: Service {
    let edge: EdgeRole
    let cloud: CloudRole
    let feed: Feed?

    func run() async throws {
        await cancelWhenGracefulShutdown { await draw() }
    }

    private func draw() async {
        let isTerminal = isatty(1) == 1
        var lag: [String: LagClock] = [:]
        var earlier: (rows: [LaneRow], atNs: UInt64)?
        var rates: [String: Rate] = [:]
        var beat = 0
        while !Task.isCancelled {
            let now = monotonicNanoseconds()
            let rows = edge.rows(visible: cloud.visible(site: edge.site, incarnation: edge.incarnation), lag: &lag)
            if let before = earlier, beat % 2 == 0 {
                let seconds = Double(now - before.atNs) / 1e9
                for (old, new) in zip(before.rows, rows) { rates[new.name] = Rate.between(old, new, seconds: seconds) }
                earlier = (rows, now)
            } else if earlier == nil {
                earlier = (rows, now)
            }
            if isTerminal {
                show(screen.picture(rows, rates: rates, footer: footer))
            } else if beat % 10 == 0 {
                FileHandleLine.write(LiveScreen.summary(rows) + "\n", to: 1)
            }
            beat += 1
            do { try await Task.sleep(for: .milliseconds(500)) } catch { break }
        }
        let rows = edge.rows(visible: cloud.visible(site: edge.site, incarnation: edge.incarnation), lag: &lag)
        FileHandleLine.write("\nstopping; \(LiveScreen.summary(rows))\n", to: 1)
    }

    private var footer: [String] { feed.map { [$0.summary] } ?? [] }

    private var screen: LiveScreen {
        var addresses: [(label: String, value: String)] = []
        func add(_ label: String, _ address: HostPort?) {
            if let address { addresses.append((label, address.description)) }
        }
        add("Kafka, cloud: consume here", cloud.settings.kafka.listen)
        add("Kafka, gateway: produce here", edge.settings.kafka.listen)
        add("NTRIP, gateway", edge.settings.ntrip?.listen)
        for stream in edge.settings.streams { add(stream.role.setting, stream.address) }
        add("cloud page and metrics", cloud.settings.http)
        add("gateway page and metrics", edge.settings.http)
        let bootstrap = cloud.settings.kafka.listen?.description ?? ""
        return LiveScreen(
            title: "cairn \(Cairn.version)   site \(edge.site)   data \(edge.settings.dataDirectory)",
            addresses: addresses,
            hints: [
                "kcat -b \(bootstrap) -t gnss.rtcm -o end", "cairn tail gnss.rtcm --bootstrap \(bootstrap)",
                "Ctrl-C stops", "",
            ])
    }

    /// From the top left, each line cleared to its end, and what was below.
    private func show(_ lines: [String]) {
        let width = terminalWidth()
        let body = lines.map { String($0.prefix(width)) + "\u{1B}[K" }.joined(separator: "\r\n")
        FileHandleLine.write("\u{1B}[H" + body + "\u{1B}[J", to: 1)
    }

    private func terminalWidth() -> Int {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 200 }
        return Int(size.ws_col)
    }
}
