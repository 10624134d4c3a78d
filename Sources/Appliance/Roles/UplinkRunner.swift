import AsyncHTTPClient
import Edge
import Glibc
import Logging
import NIOCore
import NIOPosix
import ObjectStore
import SharedObject
import SiteAuthority
import Synchronization
import TransportTLS
import Uplink
import WriteAheadLog

/// Runs a gateway's uplink in the name of its installation, and goes on under a new incarnation when somebody else writes
/// under the present one: a copy of the disk, or an older state of this one.
///
/// The cloud is greeted before the first upload, so that a copy is told so before it has written anything.
final class UplinkRunner: Sendable {
    private struct State {
        var succession: Succession
        var uplink: Uplink<ContinuousClock>
    }

    private let settings: EdgeSettings
    private let gateway: EdgeGateway
    private let store: any ObjectStore
    private let announcer: (any Announcer)?
    private let http: HTTPAnnouncer?
    private let client: HTTPClient?
    private let tls: LiveClientTLS?
    private let session: SiteSession
    private let file: InstallationFile
    private let grants: GrantKeeper?
    private let directives: DirectiveKeeper
    /// The same for all uplinks of this process.
    let pacer: UplinkPacer<ContinuousClock>
    private let boot: UInt64
    private let logger: Logger
    private let state: Mutex<State>
    /// Installs what the cloud tells; its report goes with each request.
    private let updater = Mutex<Updater?>(nil)
    private let answered = Atomic<Bool>(false)

    /// - Parameter announcer: nil tells the nodes of `uplink.announce` over HTTP, if there are any.
    init(
        _ settings: EdgeSettings, _ gateway: EdgeGateway, store: any ObjectStore, announcer: (any Announcer)?,
        grants: GrantKeeper? = nil, logger: Logger
    ) throws {
        self.settings = settings
        self.gateway = gateway
        self.store = store
        self.logger = logger
        file = InstallationFile(directory: settings.dataDirectory)
        let opened = file.open(
            root: gateway.identity.incarnation, machine: Self.machine(settings.machine), lanes: Self.uploads(gateway))
        if let doubt = opened.doubt {
            logger.error(
                "this gateway goes on under a new incarnation: \(doubt)",
                metadata: ["incarnation": "\(opened.installation.incarnation)"])
        }
        if let failure = opened.failure {
            logger.error("the start could not be counted, so copies of this disk are not found out: \(failure)")
        }
        session = SiteSession(
            site: settings.site, incarnation: opened.installation.incarnation, key: settings.uplink.siteKey)
        // A start that is not counted claims no number.
        boot = opened.failure == nil ? opened.installation.boot : 0
        self.grants = grants
        let paced = settings.uplink.pacing
        let pacer = UplinkPacer(
            settings: paced.pacing, lanes: gateway.lanes.map(\.settings.name), clock: ContinuousClock(),
            calendar: paced.isLocalTime ? WallCalendar.local : WallCalendar.utc,
            store: PacerStateFile(directory: settings.dataDirectory))
        self.pacer = pacer
        directives = DirectiveKeeper(
            settings, topics: gateway.topics, logger: logger, onBandwidth: { pacer.order(bytesPerSecond: $0) })
        let box = RunnerBox()
        let tls = try LiveClientTLS.make(settings.uplink.tls)
        self.tls = tls
        client =
            announcer == nil && !settings.uplink.announce.isEmpty
            ? Self.makeClient(settings.uplink, tls, gateway.clock) : nil
        http = client.map { [session] client in
            HTTPAnnouncer(
                client: client, baseURLs: settings.uplink.announce, tls: tls, session: session,
                report: { box.runner?.statement() }, onReply: { box.runner?.told($0) })
        }
        self.announcer = announcer ?? http
        let uplink = try Self.makeUplink(
            settings, gateway, opened.installation, session, store: store, announcer: self.announcer, pacer, box,
            logger)
        state = Mutex(State(succession: Succession(opened.installation), uplink: uplink))
        box.runner = self
    }

    var incarnation: String { state.withLock { $0.succession.installation.incarnation } }
    var status: [LaneUplinkStatus] { uplink.status }
    var trouble: String? { state.withLock { $0.succession.trouble } }
    /// Why certificates are those from before, or that they end soon; nil while all is well.
    var certificateProblem: String? { tls?.told(as: "uplink", gateway.clock.certificateTime) }
    private var uplink: Uplink<ContinuousClock> { state.withLock { $0.uplink } }

    /// Works until the task is cancelled.
    func run() async {
        await greet()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.work() }
            if http != nil { group.addTask { await self.greetNowAndThen() } }
            if http != nil { group.addTask { await self.tls?.watch("uplink", self.logger) } }
            group.addTask { await self.attend() }
        }
    }

    /// A cloud node has answered since the start.
    var hasAnswer: Bool { answered.load(ordering: .relaxed) }
    /// This start is counted on the disk.
    var isStartCounted: Bool { boot > 0 }
    /// The update that the cloud tells; nil while it has told nothing.
    var toldUpdate: (order: UpdateOrder?, isPaused: Bool)? { directives.update }

    func report(_ updater: Updater) { self.updater.withLock { $0 = updater } }

    func drain(within limit: Duration) async -> Bool { await uplink.drain(within: limit) }

    func close() async { try? await client?.shutdown() }

    /// Names of objects and who writes them, by the installation as it is now.
    private var identity: UplinkIdentity? {
        UplinkIdentity(site: settings.site, eras: state.withLock { $0.succession.installation.eras })
    }

    /// Keys of the objects that are planned and not known to be in the store.
    var openKeys: Set<String> {
        Set(
            Self.uploads(gateway).flatMap { lane, upload in
                upload.openPlans.compactMap { identity?.key(lane: lane, plan: $0.sequence)?.key }
            })
    }

    // MARK: Greeting

    private static let greetInterval = Duration.seconds(60)

    private func greetNowAndThen() async {
        while !Task.isCancelled {
            // A tenth more or less, so that sites that started together drift apart.
            let pause = Self.greetInterval * Double.random(in: 0.9...1.1)
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            await greet()
        }
    }

    /// What goes with each request.
    fileprivate func statement() -> GatewayStatement {
        var statement = GatewayStatement(boot: boot, nonce: session.nonce, host: hostName())
        statement.directives = directives.version
        statement.refused = directives.refused
        statement.update = updateReport
        guard let grants else { return statement }
        guard let identity else { return statement }
        var next: [String: SiteObjectKey] = [:]
        for (lane, upload) in Self.uploads(gateway) {
            let plan = upload.openPlans.first?.sequence ?? upload.nextSequence
            next[lane] = identity.key(lane: lane, plan: plan)
        }
        statement.wants = grants.wishes(next)
        return statement
    }

    private var updateReport: UpdateReport? {
        guard let updater = updater.withLock({ $0 }) else { return nil }
        var report = updater.report
        if let grants, let order = updater.wanted, grants.wantsUpdateURL(of: order.key) { report.wantsURL = true }
        return report
    }

    fileprivate func told(_ reply: AnnounceReply) {
        answered.store(true, ordering: .relaxed)
        if let url = reply.updateURL, let order = reply.directives["update"].flatMap({ UpdateOrder($0) }) {
            grants?.permitUpdate(key: order.key, url: url)
        }
        if let found = reply.grants, !found.isEmpty { grants?.received(found) }
        if let version = reply.directivesVersion { directives.told(reply.directives, version: version) }
    }

    /// Applies what the cloud told. A PUT that waits for permission does not wait for the next greeting.
    private func attend() async {
        while !Task.isCancelled {
            let version = directives.version
            await directives.attend(uplink)
            // What was applied is reported at once; so is what was refused.
            let hasNews = updater.withLock { $0 }?.takeNews() == true
            if grants?.takeShortage() == true || directives.version != version || hasNews { await greet() }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private func greet() async {
        guard let http else { return }
        do {
            let reply = try await http.greet()
            let lanes = Self.uploads(gateway)
            state.withLock { $0.succession.told(adopted: reply.adopted, lanes: lanes) }
        } catch {
            if case .contested = error.kind { conflicts(.contested(error.description)) }
            logger.info("greeting the cloud: \(error)")
        }
    }

    fileprivate func conflicts(_ conflict: UplinkConflict) {
        state.withLock { $0.succession.noticed(conflict) }
    }

    // MARK: Working and going on

    private func work() async {
        while !Task.isCancelled {
            let uplink = uplink
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await uplink.run() }
                group.addTask { await self.untilConflict() }
                await group.next()
                group.cancelAll()
            }
            guard !Task.isCancelled, let conflict = state.withLock({ $0.succession.conflict }) else { continue }
            await goOn(after: conflict)
        }
    }

    private func untilConflict() async {
        while state.withLock({ $0.succession.conflict == nil }) {
            guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { return }
        }
    }

    /// Nothing is uploaded while this runs.
    private func goOn(after conflict: UplinkConflict) async {
        let former = state.withLock { state in
            state.succession.waits()
            return state.succession
        }
        if former.pause > .zero {
            guard (try? await Task.sleep(for: former.pause)) != nil else { return }
        }
        let installation = former.successor(
            incarnation: Installation.makeIncarnation(), lanes: Self.uploads(gateway))
        while !Task.isCancelled {
            do {
                try file.write(installation)
                break
            } catch {
                logger.error("cannot go on under a new incarnation yet: \(error)")
                try? await Task.sleep(for: .seconds(5))
            }
        }
        guard !Task.isCancelled else { return }
        logger.error(
            former.needsNewEra
                ? "this gateway goes on under a new incarnation" : "a plan goes on under the new incarnation",
            metadata: [
                "reason": "\(conflict.reason)", "former": "\(former.installation.incarnation)",
                "incarnation": "\(installation.incarnation)",
            ])
        session.goOn(as: installation.incarnation)
        let box = RunnerBox()
        box.runner = self
        guard
            let uplink = try? Self.makeUplink(
                settings, gateway, installation, session, store: store, announcer: announcer, pacer, box, logger)
        else { preconditionFailure("incarnation \(installation.incarnation) cannot be part of a key") }
        state.withLock { state in
            state.succession.wentOn(as: installation)
            state.uplink = uplink
        }
        directives.startAgain()
        await greet()
    }

    // MARK: Parts

    private static func makeUplink(
        _ settings: EdgeSettings, _ gateway: EdgeGateway, _ installation: Installation, _ session: SiteSession,
        store: any ObjectStore, announcer: (any Announcer)?, _ pacer: UplinkPacer<ContinuousClock>, _ box: RunnerBox,
        _ logger: Logger
    ) throws -> Uplink<ContinuousClock> {
        guard let identity = UplinkIdentity(site: settings.site, eras: installation.eras, author: session.author)
        else {
            throw Binding.Failure(description: "site \(settings.site) cannot be part of an object key")
        }
        let lanes = gateway.lanes.enumerated().map { index, lane in
            Uplink<ContinuousClock>.Lane(
                source: lane.log, settings: settings.uplink.lane(lane.settings.uplinkInterval, priority: index))
        }
        return Uplink(
            identity: identity, lanes: lanes, store: store, announcer: announcer,
            permitsMax: settings.uplink.concurrency, clock: ContinuousClock(),
            random: { UInt64.random(in: .min ... .max) }, logger: logger, pacer: pacer,
            believedClock: { [clockMemory = gateway.clockMemory] in clockMemory.reading(ofBoot: $0) },
            onConflict: { box.runner?.conflicts($0) })
    }

    private static func uploads(_ gateway: EdgeGateway) -> [String: UploadState] {
        Dictionary(
            gateway.lanes.map { ($0.settings.name, $0.log.uploadState) }, uniquingKeysWith: { first, _ in first })
    }

    /// Empty: the installation is bound to no machine.
    private static func machine(_ setting: String) -> String {
        switch setting {
        case "none": ""
        case "auto": MachineFingerprint.read()
        default: MachineFingerprint.read([setting])
        }
    }

    static func makeClient(
        _ uplink: UplinkSettings, _ tls: LiveClientTLS?, _ clock: any Edge.WallClock
    ) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            tlsConfiguration: tls?.configuration, redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(5), read: .seconds(30)))
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        let hosts = uplink.announce.compactMap(\.host)
        if let check = tls?.check(hosts: hosts, now: { clock.certificateTime }) {
            configuration.http1_1ConnectionDebugInitializer = { check.admit($0) }
        }
        return HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
    }
}

/// From an uplink and its announcer back to who runs them.
private final class RunnerBox: Sendable {
    private let target = Mutex<WeakRunner>(WeakRunner())
    var runner: UplinkRunner? {
        get { target.withLock { $0.runner } }
        set { target.withLock { $0.runner = newValue } }
    }
}

private struct WeakRunner {
    weak var runner: UplinkRunner?
}

private func hostName() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
    // C's char has a sign on some processors and none on others.
    return bytes.withUnsafeBytes { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

extension UplinkSettings {
    fileprivate func lane(_ interval: Duration, priority: Int) -> LaneUplinkSettings {
        LaneUplinkSettings(
            upload: LaneUploadSettings(
                flushInterval: interval, sizing: ObjectSizing.Limits(liveBytesMax: objectBytes)),
            priority: priority)
    }
}
