import Foundation
import Testing

@testable import Appliance

@Suite("Doctor: what the service may read, write and bind")
struct DoctorAccessTests {
    static let user = AccessCheck.User(name: "cairn-edge", id: 900, groups: [900, 20])

    static func place(_ parts: [(String, UInt32, UInt32, UInt32)]) -> AccessCheck.Place {
        AccessCheck.Place(
            path: parts.last?.0 ?? "/gone",
            parts: parts.map { AccessCheck.Place.Part(path: $0.0, mode: $0.1, owner: $0.2, group: $0.3) })
    }

    static func sandbox(_ properties: [String: String] = [:]) -> AccessCheck.Sandbox {
        AccessCheck.Sandbox(properties, dataDirectory: "/var/lib/cairn-edge")
    }

    static func reading(_ mode: UInt32, owner: UInt32, group: UInt32 = 0, above: UInt32 = 0o755) -> Finding? {
        AccessCheck.reading(
            place([("/", 0o755, 0, 0), ("/keys", above, 0, 0), ("/keys/a.key", mode, owner, group)]), user, sandbox(),
            unit: "cairn-edge.service")
    }

    @Test("a file is read by its owner, its group or all; the first of them that fits decides")
    func modes() {
        #expect(Self.reading(0o400, owner: 900) == nil)
        #expect(Self.reading(0o600, owner: 0)?.verdict == .failure)
        #expect(Self.reading(0o600, owner: 0)?.advice?.contains("chown cairn-edge: /keys/a.key") == true)
        #expect(Self.reading(0o640, owner: 0, group: 20) == nil)
        #expect(Self.reading(0o604, owner: 0, group: 20)?.verdict == .failure)
        #expect(Self.reading(0o644, owner: 0) == nil)
        #expect(Self.reading(0o044, owner: 900)?.verdict == .failure)
    }

    @Test("a directory above that cannot be passed is named")
    func closedDirectories() {
        let finding = Self.reading(0o644, owner: 0, above: 0o700)
        #expect(finding?.found.contains("/keys has mode 700") == true)
        #expect(finding?.advice?.contains("chmod o+x /keys") == true)
        // Passing is enough: it need not be listed.
        #expect(Self.reading(0o644, owner: 0, above: 0o711) == nil)
    }

    @Test("what the unit hides is not read, whatever its mode")
    func hidden() {
        func verdict(_ path: String, _ properties: [String: String]) -> Finding.Verdict? {
            let open = Self.place([("/", 0o755, 0, 0), (path, 0o777, 0, 0)])
            return AccessCheck.reading(open, Self.user, Self.sandbox(properties), unit: "u")?.verdict
        }
        #expect(verdict("/home/me/ca.pem", ["ProtectHome": "yes"]) == .failure)
        #expect(verdict("/home/me/ca.pem", ["ProtectHome": "no"]) == nil)
        #expect(verdict("/homely/ca.pem", ["ProtectHome": "yes"]) == nil)
        #expect(verdict("/tmp/ca.pem", ["PrivateTmp": "yes"]) == .failure)
        #expect(verdict("/tmp/ca.pem", [:]) == nil)
    }

    @Test("a directory is written where the unit and its mode allow it")
    func writing() {
        func finding(_ path: String, mode: UInt32, owner: UInt32, _ properties: [String: String]) -> Finding? {
            AccessCheck.writing(
                Self.place([("/", 0o755, 0, 0), (path, mode, owner, 0)]), setting: "store.url", Self.user,
                Self.sandbox(properties), unit: "cairn-edge.service")
        }
        let strict = ["ProtectSystem": "strict"]
        #expect(finding("/srv/store", mode: 0o755, owner: 900, [:]) == nil)
        #expect(finding("/srv/store", mode: 0o755, owner: 0, [:])?.advice == "chown -R cairn-edge: /srv/store/")
        #expect(
            finding("/srv/store", mode: 0o755, owner: 900, strict)?.advice?.contains("ReadWritePaths=/srv/store")
                == true)
        #expect(
            finding("/srv/store", mode: 0o755, owner: 900, strict.merging(["ReadWritePaths": "/opt -/srv"]) { $1 })
                == nil)
        #expect(finding("/var/lib/cairn-edge/store", mode: 0o700, owner: 900, strict) == nil)
        #expect(finding("/var/lib/cairn-edgy", mode: 0o777, owner: 900, strict)?.verdict == .failure)
    }

    @Test("what is not there is for others to say; files of others in the data directory are counted")
    func strangers() {
        #expect(
            AccessCheck.reading(AccessCheck.Place(path: "/gone", parts: []), Self.user, Self.sandbox(), unit: "u")
                == nil)
        func finding(_ count: Int) -> Finding {
            AccessCheck.strangers(count, first: "lanes/x", in: "/d", Self.user, unit: "cairn-edge")
        }
        #expect(finding(0).verdict == .good)
        #expect(finding(2).verdict == .failure && finding(2).found.contains("lanes/x"))
        #expect(finding(2).advice?.contains("chown -R --reference=/d/. /d/") == true)
    }

    @Test(
        "below the service's own directory nothing above it counts, and nobody's files are its own where the directory is"
    )
    func home() throws {
        let root = FileManager.default.temporaryDirectory.path + "/cairn-home-\(UUID().uuidString)"
        let (closed, own) = (root + "/private", root + "/private/edge")
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        try "k".write(toFile: own + "/master.key", atomically: true, encoding: .utf8)
        for (path, mode) in [(closed, 0o700), (own, 0o700), (own + "/master.key", 0o600)] {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        }
        let whoRuns = try #require(AccessCheck.Home(own)).owner
        func verdict(_ user: AccessCheck.User, _ owner: UInt32) -> Finding.Verdict? {
            let home = AccessCheck.Home(path: AccessCheck.Home(own)?.path ?? own, owner: owner)
            let place = AccessCheck.place(own + "/master.key", user, home: home)
            return AccessCheck.reading(place, user, Self.sandbox(), unit: "u")?.verdict
        }
        let service = AccessCheck.User(name: "edge", id: whoRuns &+ 1, groups: [])
        // Of whoever runs this test, and not of the service.
        #expect(verdict(service, service.id) == .failure)
        let same = AccessCheck.User(name: "edge", id: whoRuns, groups: [])
        #expect(verdict(same, whoRuns) == nil)
        let home = AccessCheck.Home(path: own, owner: AccessCheck.nobody)
        #expect(home.ownerOnDisk(of: service) == AccessCheck.nobody)
        #expect(AccessCheck.Home(path: own, owner: 7).ownerOnDisk(of: service) == nil)
        // All that is here is another's than nobody's.
        if whoRuns != AccessCheck.nobody { #expect(AccessCheck.strangers(in: home, service).count == 1) }
        #expect(AccessCheck.strangers(in: AccessCheck.Home(path: own, owner: whoRuns), same).count == 0)
        #expect(AccessCheck.Home(root + "/none") == nil)
    }

    @Test("ports below the first free one need a capability, unless somebody holds them already")
    func privilegedPorts() {
        func finding(
            _ port: Int, _ privilege: PortCheck.Privilege, _ holder: PortCheck.Holder = .nobody,
            setting: String = "ntrip.listen"
        ) -> Finding {
            PortCheck.finding(
                PortCheck.Listener(setting: setting, address: HostPort(host: "0.0.0.0", port: port)), holder, .here,
                privilege, isCairnUp: false)
        }
        let bare = PortCheck.Privilege(mayBindBelow: false, unit: "cairn-edge.service")
        #expect(finding(1024, bare).verdict == .good)
        #expect(finding(1023, bare).verdict == .failure)
        #expect(finding(1023, bare).advice?.contains(".socket") == true)
        #expect(finding(443, bare, setting: "http.listen").advice?.contains(".socket") == false)
        #expect(finding(80, PortCheck.Privilege(firstFreePort: 80, mayBindBelow: false)).verdict == .good)
        #expect(finding(1023, PortCheck.Privilege(mayBindBelow: true)).verdict == .good)
        #expect(finding(1023, PortCheck.Privilege(mayBindBelow: false)).advice?.contains("setcap") == true)
        #expect(finding(1023, bare, .process(name: "systemd", id: 1)).verdict == .good)
    }

    @Test("a capability given to a unit counts, but not in a user namespace of its own")
    func unitPrivileges() {
        func may(_ properties: [String: String]) -> Bool {
            let all = properties.merging(["LoadState": "loaded"]) { own, _ in own }
            return PortCheck.privilege(UnitCheck.Facts(unit: "u", properties: all)).mayBindBelow
        }
        let ambient = "cap_net_bind_service cap_net_raw"
        #expect(!may(["User": "cairn-edge"]))
        #expect(may(["User": "cairn-edge", "AmbientCapabilities": ambient]))
        #expect(!may(["User": "cairn-edge", "AmbientCapabilities": ambient, "PrivateUsers": "yes"]))
        #expect(may(["User": "root"]))
    }

    @Test("one port for two listeners is found")
    func collisions() {
        func count(_ first: HostPort, _ second: HostPort, isDatagram: Bool = false) -> Int {
            PortCheck.collisions([
                PortCheck.Listener(setting: "a", address: first),
                PortCheck.Listener(setting: "b", address: second, isDatagram: isDatagram),
            ]).count
        }
        let (local, all) = (HostPort(host: "127.0.0.1", port: 9092), HostPort(host: "0.0.0.0", port: 9092))
        #expect(count(local, local) == 1)
        #expect(count(local, all) == 1)
        #expect(count(local, HostPort(host: "127.0.0.2", port: 9092)) == 0)
        #expect(count(local, all, isDatagram: true) == 0)
        #expect(count(HostPort(host: "h", port: 0), HostPort(host: "h", port: 0)) == 0)
    }
}
