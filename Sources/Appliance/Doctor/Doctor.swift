import AsyncHTTPClient
import Edge
import FoundationEssentials
import Glibc
import NIOCore
import ObjectStore
import TransportTLS
import Uplink
import WriteAheadLog

/// Looks at everything, most of it at once, each within a time of its own. Changes nothing that stays: a nameless file on the disk,
/// a few objects under `probe/` in the store, taken away again.
struct Doctor: Sendable {
    let subject: Subject
    /// Nil when the settings are not those of the package's unit.
    let packaged: PackagedRole?
    /// The settings file, with the secrets that stand in it.
    let settingsFile: SecretsCheck.File?

    private static let diskLimit = Duration.seconds(15)
    private static let nameSeconds: Int64 = 5
    private static let storeLimit = Duration.seconds(20)
    private static let announceLimit = Duration.seconds(12)
    private static let certificateLimit = Duration.seconds(8)
    private static let localLimit = Duration.seconds(8)

    /// In a fixed order, whichever is known first.
    func examine() async -> [Finding] {
        async let machine = machine()
        async let disk = disk()
        async let certificates = certificates()
        async let names = names()
        async let store = store()
        async let announce = announce()
        let unit = await unit()
        async let ports = ports(unit.facts)
        async let rights = rights(unit.facts)
        return await machine + disk + unit.findings + rights + ports + names + certificates + store + announce
    }

    /// What can be said without any settings.
    static func machine(needsTime: Bool) -> [Finding] {
        [ClockCheck.finding(SystemWallClock().read(), needsTime: needsTime)]
    }

    private func machine() async -> [Finding] {
        let path = subject.dataDirectory
        var files = [settingsFile, packaged.flatMap(environmentFile)].compactMap { $0 }
        for path in subject.secretFiles {
            guard let mode = SecretsCheck.mode(path) else { continue }
            files.append(SecretsCheck.File(path: path, mode: mode, secrets: ["keys"]))
        }
        let subject = subject
        let directory = await Bounded.blocking(Self.localLimit) {
            var need = subject.need
            if !subject.log.isEmpty { need.usedBytes = DataDirectoryCheck.usedBytes(below: subject.log) }
            return DataDirectoryCheck.findings(DataDirectoryCheck.look(path), need: need)
        }
        return (directory ?? [Self.hangs(DataDirectoryCheck.name, "looking at \(path)")])
            + files.compactMap(SecretsCheck.finding) + Self.machine(needsTime: subject.needsTime)
    }

    private func environmentFile(_ packaged: PackagedRole) -> SecretsCheck.File? {
        guard let mode = SecretsCheck.mode(packaged.environmentFile) else { return nil }
        return SecretsCheck.File(
            path: packaged.environmentFile, mode: mode, secrets: packaged.environment().keys.sorted())
    }

    private func disk() async -> [Finding] {
        let path = subject.dataDirectory
        guard access(path, F_OK) == 0 else {
            let refusal = DiskTrial.ringRefusal()
            return [.skipped(DiskCheck.name, "\(path) is not there yet"), DiskCheck.engine(refusal)]
        }
        let found = await Bounded.blocking(Self.diskLimit) { () -> [Finding] in
            do throws(DiskError) {
                return DiskCheck.findings(
                    try DiskTrial.run(directory: path), cache: DiskCheck.writeCache(of: path))
            } catch {
                return [DiskCheck.failed(error)]
            }
        }
        return found ?? [Self.hangs(DiskCheck.name, "a write to \(path)")]
    }

    private func unit() async -> (facts: UnitCheck.Facts?, findings: [Finding]) {
        guard let packaged else { return (nil, []) }
        let looked = await Bounded.blocking(Self.localLimit) { UnitCheck.look(packaged.unit) }
        guard let looked else { return (nil, [Self.hangs(UnitCheck.name, "systemctl")]) }
        return (looked, looked.map { UnitCheck.findings($0, connectionsMax: subject.connectionsMax) } ?? [])
    }

    private func ports(_ unit: UnitCheck.Facts?) async -> [Finding] {
        let isUp = await isAnswering()
        let listeners = subject.listeners
        let found = await Bounded.blocking(Self.localLimit) {
            let privilege = PortCheck.privilege(unit)
            return PortCheck.collisions(listeners)
                + listeners.map { listener in
                    let (holder, address) = PortCheck.look(listener)
                    return PortCheck.finding(listener, holder, address, privilege, isCairnUp: isUp)
                }
        }
        return found ?? [Self.hangs(PortCheck.name, "looking at the ports")]
    }

    /// Only of a unit, whose user is known.
    private func rights(_ unit: UnitCheck.Facts?) async -> [Finding] {
        guard let unit, unit.properties["LoadState"] == "loaded", let packaged else { return [] }
        let subject = subject
        let found = await Bounded.blocking(Self.localLimit) { () -> [Finding] in
            let groups = unit.properties["SupplementaryGroups"]?.split(separator: " ").map(String.init) ?? []
            let name = unit.properties["User"] ?? ""
            guard let user = AccessCheck.user(name, supplementary: groups) else {
                return [.skipped(AccessCheck.name, "there is no user '\(name)' yet; \(unit.unit) makes it")]
            }
            let home = AccessCheck.Home(subject.dataDirectory)
            let sandbox = AccessCheck.Sandbox(unit.properties, dataDirectory: subject.dataDirectory)
            let files = subject.files.filter { !$0.hasPrefix(packaged.credentials + "/") }.compactMap {
                AccessCheck.reading(AccessCheck.place($0, user, home: home), user, sandbox, unit: unit.unit)
            }
            let directories = subject.directories.compactMap {
                AccessCheck.writing(
                    AccessCheck.place($0.path, user, home: home), setting: $0.setting, user, sandbox, unit: unit.unit)
            }
            let strangers = AccessCheck.strangers(in: home, user)
            return files + directories + [
                AccessCheck.strangers(
                    strangers.count, first: strangers.first, in: subject.dataDirectory, user, unit: unit.unit)
            ]
        }
        return found ?? [Self.hangs(AccessCheck.name, "looking at \(subject.dataDirectory)")]
    }

    private func certificates() async -> [Finding] {
        let time = SystemWallClock().certificateTime
        let now = time.isKnown ? time.seconds : nil
        let files = subject.certificates.flatMap { CertificateFindings.findings($0, now: now) }
        let servers = subject.servers
        return files
            + (await withTaskGroup(of: (Int, [Finding]).self) { group in
                for (index, server) in servers.enumerated() {
                    group.addTask {
                        let answer = await CertificateProbe.look(server, within: Self.certificateLimit)
                        return (index, CertificateFindings.findings(server, answer, now: now))
                    }
                }
                return await Self.ordered(group).flatMap { $0 }
            })
    }

    /// A cairn of this version or another answers at `http.listen`.
    private func isAnswering() async -> Bool {
        guard let console = subject.console else { return false }
        let host = ["0.0.0.0": "127.0.0.1", "::": "::1"][console.host] ?? console.host
        if let certificate = subject.consoleCertificate {
            return await isShowing(certificate, HostPort(host: host, port: console.port))
        }
        let answer = await Bounded.run(.seconds(3)) {
            try? await ConsoleClient.ask(
                "http://\(HostPort(host: host, port: console.port))", "/metrics", bytesMax: 16 << 20,
                timeout: .seconds(2))
        }
        guard let answer = answer ?? nil, answer.status == 200 else { return false }
        return String(buffer: answer.body).contains("cairn_")
    }

    /// Nobody else has the key of that certificate.
    private func isShowing(_ certificate: String, _ console: HostPort) async -> Bool {
        let server = CertificateFindings.Server(
            setting: "http.listen", host: console.host, port: console.port, tls: ClientTLS())
        guard let own = try? CertificateFacts.read(certificate).first,
            case .shown(let chain) = await CertificateProbe.look(server, within: .seconds(3))
        else { return false }
        return chain.first == own
    }

    private func names() async -> [Finding] {
        await withTaskGroup(of: (Int, Finding).self) { group in
            for (index, name) in subject.names.enumerated() {
                group.addTask {
                    let addresses = await Bounded.blocking(.seconds(Self.nameSeconds)) { NetworkCheck.resolve(name) }
                    return (index, NetworkCheck.names(name, addresses: addresses, seconds: Self.nameSeconds))
                }
            }
            return await Self.ordered(group)
        }
    }

    private func store() async -> [Finding] {
        guard let settings = subject.store else { return [.skipped(NetworkCheck.storeName, "none is set")] }
        if subject.isPresigned {
            return [
                .skipped(NetworkCheck.storeName, "used by presigned URLs only; the cloud node's doctor looks at it")
            ]
        }
        if case .directory(let path) = settings, !isOurs(path) {
            return [NetworkCheck.directoryStore(DataDirectoryCheck.look(path))]
        }
        let found = await Bounded.run(Self.storeLimit) { () -> [Finding] in
            do {
                let store = try OpenedStore(settings)
                let result: [Finding]
                do throws(ObjectStoreError) {
                    result = NetworkCheck.store(try await store.examine(), store.description)
                } catch {
                    result = [NetworkCheck.store(error, store.description)]
                }
                await store.close()
                return result
            } catch {
                return [.failure(NetworkCheck.storeName, "\(error)", "check store.url and store.endpoint")]
            }
        }
        return found ?? [
            .failure(
                NetworkCheck.storeName, "the store did not answer within \(Self.storeLimit.components.seconds) s",
                "check store.endpoint, the route and the firewall; connections that get no answer often mean a dropped packet"
            )
        ]
    }

    /// Objects written by the doctor would have the owner that they need.
    private func isOurs(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_uid == geteuid() && access(path, W_OK | X_OK) == 0
    }

    private func announce() async -> [Finding] {
        guard let site = subject.site, let uplink = subject.uplink, !subject.announce.isEmpty else { return [] }
        let incarnation = SmallText.read(subject.dataDirectory + "/incarnation") ?? String(repeating: "0", count: 32)
        let session = SiteSession(site: site, incarnation: incarnation, key: subject.key)
        let client: HTTPClient
        do {
            client = UplinkRunner.makeClient(uplink, try LiveClientTLS.make(uplink.tls), SystemWallClock())
        } catch {
            return [
                .failure(
                    NetworkCheck.announceName, "uplink.tls-…: \(error)", "name files that are certificates and keys")
            ]
        }
        let found = await withTaskGroup(of: (Int, Finding).self) { group in
            for (index, url) in subject.announce.enumerated() {
                group.addTask {
                    let outcome = await Bounded.run(Self.announceLimit) {
                        await NetworkCheck.greet(url, session, client)
                    }
                    let late = AnnounceError(
                        .unreachable, detail: "no answer in \(Self.announceLimit.components.seconds) s")
                    return (
                        index, NetworkCheck.announce(url, outcome ?? .failure(late), isSigned: subject.key != nil)
                    )
                }
            }
            return await Self.ordered(group)
        }
        try? await client.shutdown()
        return found
    }

    private static func ordered<Found>(_ group: TaskGroup<(Int, Found)>) async -> [Found] {
        var found: [(Int, Found)] = []
        for await finding in group { found.append(finding) }
        return found.sorted { $0.0 < $1.0 }.map(\.1)
    }

    private static func hangs(_ check: String, _ what: String) -> Finding {
        .failure(check, "\(what) did not end in time", "look with dmesg at the disk, and at processes in state D")
    }
}
