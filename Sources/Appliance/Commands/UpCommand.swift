import ArgumentParser
import Console
import Logging
import ServiceLifecycle
import Uplink

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Gateway and cloud node in one process, over one data directory.")

    @Flag(help: "Feed the gateway from simulated stations and a simulated Kafka producer.") var simulate = false
    @Option(help: "Feed the gateway from this receiver capture, at the pace of its epochs.") var replay: String?
    @OptionGroup var options: SettingsOptions

    func run() async throws {
        let reader = try await options.reader(UpKeys.all(lanes: await options.lanes(prefix: "edge.")))
        let settings = UpSettings(reader)
        try SettingsOptions.finish(reader)
        let logger = RoleRunner.logger(settings.edge.log, label: "cairn")
        let (edge, cloud) = try await open(settings, logger)
        let health = EdgeHealth(edge)
        let watch = HealthWatch.of(edge, health, logger: logger)
        var services: [any Service] = [cloud, edge]
        if let http = settings.cloud.http {
            services.append(try CloudConsole.server(cloud, at: http, logger: logger))
        }
        if let http = settings.edge.http {
            services.append(
                ConsoleServer(
                    host: http.host, port: http.port, content: EdgeConsole.content(edge, health), logger: logger))
        }
        let feed = try makeFeed(settings, logger)
        if let feed { services.append(FeedService(feed: feed)) }
        services.append(watch)
        services.append(ScreenService(edge: edge, cloud: cloud, feed: feed))
        try await RoleRunner.run(services, logger: logger)
    }

    private func open(_ settings: UpSettings, _ logger: Logger) async throws -> (EdgeRole, CloudRole) {
        do {
            guard let storeSettings = settings.edge.store else { throw Complaint.badConfiguration }
            let store = try OpenedStore(storeSettings)
            let cloud = try await CloudRole.open(settings.cloud, store: store, logger: logger)
            let announcer = LocalAnnouncer { (announcement) async throws(AnnounceError) in
                try await cloud.adopt(announcement)
            }
            let edge = try await EdgeRole.open(settings.edge, store: store, announcer: announcer, logger: logger)
            return (edge, cloud)
        } catch {
            throw Complaint.say("\(settings.dataDirectory): \(error)", Complaint.unavailable)
        }
    }

    private func makeFeed(_ settings: UpSettings, _ logger: Logger) throws -> Feed? {
        guard simulate || replay != nil else { return nil }
        guard let ntrip = settings.edge.ntrip else {
            throw Complaint.say("--simulate and --replay need edge.ntrip.listen", Complaint.badConfiguration)
        }
        let password = ntrip.mountpoints.first { $0.name == "*" }?.password ?? ntrip.mountpoints.first?.password ?? ""
        guard let replay else {
            return Feed.stations(
                5, ntrip: ntrip.listen, password: password, version2: false, interval: .seconds(1),
                kafka: settings.edge.kafka.listen, logger: logger)
        }
        do {
            return try Feed.replay(replay, ntrip: ntrip.listen, password: password, logger: logger)
        } catch {
            throw Complaint.say("--replay \(replay): \(error)", Complaint.usage)
        }
    }
}

/// Feeds until the group shuts down.
struct FeedService: Service {
    let feed: Feed

    func run() async throws {
        await cancelWhenGracefulShutdown { await feed.run() }
        try? await gracefulShutdown()
    }
}
