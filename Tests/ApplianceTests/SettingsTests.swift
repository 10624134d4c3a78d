import Foundation
import Testing

@testable import Appliance

@Suite("Settings")
struct SettingsTests {
    private func file(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "cairn-\(UUID().uuidString).yaml").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func problems(
        file text: String? = nil, flags: [String] = [], environment: [String: String] = [:],
        read: (SettingsReader) -> Void = { _ in }
    ) async throws -> [String] {
        let path = try text.map(file)
        defer { if let path { try? FileManager.default.removeItem(atPath: path) } }
        do {
            let reader = try await SettingsReader(
                keys: EdgeKeys.all, file: path, flags: flags, environment: environment)
            read(reader)
            try reader.finish()
            return []
        } catch let found as SettingProblems {
            return found.problems.map { problem in
                path.map { problem.description.replacingOccurrences(of: $0, with: "FILE") } ?? problem.description
            }
        }
    }

    @Test("an unknown key is refused with its line and the nearest known name")
    func unknownKey() async throws {
        let found = try await problems(file: "site: A\n\nkafka:\n  lissten: 1.2.3.4:1\n")
        #expect(found == ["FILE:4: kafka.lissten: no such setting; did you mean kafka.listen?"])
    }

    @Test("a bad value is refused with name, line and reason, and all of them at once")
    func badValues() async throws {
        let found = try await problems(file: "lanes:\n  bulk:\n    window: soon\n    quota: 1GB\n") { reader in
            _ = reader.duration("lanes.bulk.window")
            _ = reader.size("lanes.bulk.quota")
        }
        #expect(
            found == [
                "FILE:3: lanes.bulk.window: expected a time such as 250ms, 5s, 10m, 2h or 7d, got 'soon'",
                "FILE:4: lanes.bulk.quota: expected a size such as 65536, 64KiB, 8MiB or 4GiB, got '1GB'",
            ])
    }

    @Test("what a gateway listens on is told to a firewall, and what is off or connects out is not")
    func listenerAddresses() async throws {
        let flags = [
            "--site", "A", "--data-dir", "/d", "--store-url", "dir:/s", "--kafka-listen", "",
            "--ntrip-listen", "0.0.0.0:2101", "--tcp-listen", "[::]:5015", "--udp-listen", "0.0.0.0:5016",
            "--tcp-connect", "10.0.0.9:5017",
        ]
        let reader = try await SettingsReader(keys: EdgeKeys.all, file: nil, flags: flags, environment: [:])
        let listeners = EdgeSettings(reader).listeners.map(\.description)
        try reader.finish()
        #expect(
            listeners == [
                "tcp 127.0.0.1 9645 http.listen", "tcp 0.0.0.0 2101 ntrip.listen", "tcp :: 5015 tcp.listen",
                "udp 0.0.0.0 5016 udp.listen",
            ])
    }

    @Test("a value outside its range is refused")
    func range() async throws {
        let found = try await problems(environment: ["CAIRN_UPLINK_CONCURRENCY": "99"]) {
            _ = $0.count("uplink.concurrency")
        }
        #expect(
            found == [
                "environment CAIRN_UPLINK_CONCURRENCY: uplink.concurrency: expected a whole number from 1 to 16, got '99'"
            ])
    }

    @Test("unknown flags and CAIRN_ variables are refused by name")
    func unknownFlag() async throws {
        #expect(
            try await problems(flags: ["--sitte", "A"]) == [
                "flag --sitte: --sitte: no such setting; did you mean --site?"
            ])
        #expect(
            try await problems(environment: ["CAIRN_SIET": "A"]) == [
                "environment CAIRN_SIET: CAIRN_SIET: no such setting; did you mean CAIRN_SITE?"
            ])
        #expect(try await problems(environment: ["PATH": "/bin", "OTHER_SITE": "x"]) == [])
    }

    @Test("flags win over the environment, the environment over the file, the file over defaults")
    func precedence() async throws {
        let path = try file("site: from-file\nntrip:\n  topic: t-file\n  idle: 5s\nkafka:\n  partitions: 7\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let reader = try await SettingsReader(
            keys: EdgeKeys.all, file: path, flags: ["--site", "from-flag"],
            environment: ["CAIRN_SITE": "from-env", "CAIRN_NTRIP_TOPIC": "t-env"])
        #expect(reader.text("site") == "from-flag")
        #expect(reader.text("ntrip.topic") == "t-env")
        #expect(reader.duration("ntrip.idle") == .seconds(5))
        #expect(reader.count("kafka.partitions") == 7)
        #expect(reader.size("lanes.bulk.quota") == 4 << 30)
        try reader.finish()
    }

    @Test("lists come from the file as sequences and from flags and variables separated by commas")
    func lists() async throws {
        let path = try file("tcp:\n  listen: [\"0.0.0.0:5015 id=R1\", \"0.0.0.0:5016\"]\n")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let reader = try await SettingsReader(
            keys: EdgeKeys.all, file: path, flags: ["--lanes-bulk-topics", "a,b*"],
            environment: ["CAIRN_UPLINK_ANNOUNCE": "http://a:1,http://b:2"])
        #expect(reader.list("tcp.listen") == ["0.0.0.0:5015 id=R1", "0.0.0.0:5016"])
        #expect(reader.list("lanes.bulk.topics") == ["a", "b*"])
        #expect(reader.list("uplink.announce") == ["http://a:1", "http://b:2"])
        #expect(reader.list("lanes.critical.topics") == ["gnss.*"])
        try reader.finish()
    }

    @Test("a secret never appears in an error")
    func secrets() async throws {
        let found = try await problems(file: "store:\n  secret-key: [hunter2, x]\n") { _ = $0.text("store.secret-key") }
        #expect(found.count == 1)
        #expect(!found.joined().contains("hunter2"))
    }

    @Test("text that is not YAML, or no mapping, is refused with the file's name")
    func notYAML() async throws {
        #expect(try await problems(file: "a: [1\nb: }").count == 1)
        #expect(try await problems(file: "- just\n- a list\n") == ["FILE:1: (file): expected 'key: value' lines"])
        #expect(try await problems(file: "").isEmpty)
    }

    @Test("the example of each role is accepted as it stands", arguments: ["edge", "cloud", "up"])
    func example(role: String) async throws {
        let keys = ["edge": EdgeKeys.all, "cloud": CloudKeys.all, "up": UpKeys.all][role] ?? []
        let path = try file(SettingsExample.yaml(of: keys, title: "test"))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let reader = try await SettingsReader(keys: keys, file: path, flags: [], environment: [:])
        for key in keys {
            switch key.kind {
            case .text, .secret: #expect(reader.text(key.name) == key.fallback)
            case .flag: _ = reader.flag(key.name)
            case .count: _ = reader.count(key.name)
            case .size: _ = reader.size(key.name)
            case .duration: _ = reader.duration(key.name)
            case .address: _ = reader.address(key.name)
            case .choice: _ = reader.choice(key.name)
            case .list, .secretList:
                #expect(reader.list(key.name) == key.fallback.split(separator: ",").map(String.init))
            }
        }
        try reader.finish()
    }

    @Test("list entries carry options, and an unknown option is named")
    func items() throws {
        let item = try SettingValue.item("0.0.0.0:1 id=R1 topic=t", options: ["id", "topic"])
        #expect(item == SettingItem(head: "0.0.0.0:1", options: ["id": "R1", "topic": "t"]))
        #expect(throws: SettingValue.Malformed(expected: "'speed=1' is no option here; known are id= topic=")) {
            try SettingValue.item("x speed=1", options: ["id", "topic"])
        }
    }
}
