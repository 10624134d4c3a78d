import Foundation
import Synchronization
import Testing

@testable import Sealing

/// A directory of its own for one test, removed at its end.
final class TemporaryDirectory: Sendable {
    let path = "/tmp/cairn-keys-" + String(UInt64.random(in: .min ... .max), radix: 16)

    init() { mkdir(path, 0o700) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, _ name: String = "keys", mode: mode_t = 0o600) throws -> String {
        let file = path + "/" + name
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        chmod(file, mode)
        return file
    }
}

@Suite("Key files")
struct KeyFileTests {
    let directory = TemporaryDirectory()
    let first = "one AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    let second = "two //79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="

    private func problem(_ text: String, mode: mode_t = 0o600) throws -> String? {
        let path = try directory.write(text, mode: mode)
        do throws(KeyFileError) {
            _ = try KeyFile.load(path)
            return nil
        } catch { return error.description.replacing(path, with: "FILE") }
    }

    @Test("lines, comments and empty lines; the first key wraps")
    func parses() throws {
        let path = try directory.write("# site\n\n\(first)  # since 2026\r\n\t\(second)\n\(first)\n")
        let ring = try KeyFile.load(path)
        #expect(ring.keys.map(\.id) == ["one", "two"])
        #expect(ring.first.secret.bytes == Array(0..<32))
        #expect(ring.secret("two")?.bytes == (0..<32).map { 255 - $0 })
        #expect(KeyFile.line(ring.first) == first)
        // Of the bytes 0 to 31; by sha256sum.
        #expect(ring.first.secret.fingerprint == "630dcd2966c43366")
    }

    @Test("what is wrong is said with its line, and no key is shown")
    func refuses() throws {
        #expect(try problem("") == "FILE:1: holds no key")
        #expect(try problem("\(first)\nx\n") == "FILE:2: expected an id and a key")
        #expect(try problem("one AAEC\n") == "FILE:1: expected 32 bytes in base64 after the id")
        #expect(try problem("o/e \(first.dropFirst(4))") == "FILE:1: an id is 1 to 40 of A-Z a-z 0-9 . _ -")
        #expect(try problem("\(first)\none \(second.dropFirst(4))") == "FILE:2: another key is named one, in line 1")
    }

    @Test("a file that others may read is refused", arguments: [mode_t(0o644), 0o640, 0o620, 0o604])
    func modes(_ mode: mode_t) throws {
        let found = try #require(try problem(first, mode: mode))
        #expect(found.hasPrefix("FILE: others may read it (mode \(String(mode, radix: 8)))"))
        #expect(try problem(first, mode: 0o400) == nil)
    }

    @Test("a missing file, a directory and a pipe are refused and nothing hangs")
    func notFiles() throws {
        #expect(throws: KeyFileError.self) { try KeyFile.load(directory.path + "/none") }
        #expect(throws: KeyFileError.self) { try KeyFile.load(directory.path) }
        #expect(throws: KeyFileError.self) { try KeyFile.load("/dev/null") }
    }

    @Test("a file is made once, for its owner alone, and replaced as a whole")
    func writes() throws {
        let path = directory.path + "/made"
        let ring = try #require(KeyRing([KeyRing.Key.random(id: "a")!]))
        try KeyFile.create(path, ring)
        #expect(throws: KeyFileError.unwritable(path: path, reason: "there is one already")) {
            try KeyFile.create(path, ring)
        }
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(try KeyFile.load(path).first.secret.isSame(as: ring.first.secret))
        let more = try #require(KeyRing([KeyRing.Key.random(id: "b")!] + ring.keys))
        try KeyFile.replace(path, more)
        #expect(try KeyFile.load(path).keys.map(\.id) == ["b", "a"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["made"])
    }

    @Test("a ring has no two keys of one name, and takes every key it is given")
    func rings() {
        let key = KeyRing.Key.random(id: "a")!
        #expect(KeyRing([]) == nil)
        #expect(KeyRing([key, KeyRing.Key.random(id: "a")!]) == nil)
        #expect(KeyRing.Key.random(id: "") == nil)
        #expect(KeyRing.Key.random(id: String(repeating: "x", count: 41)) == nil)
        let unnamed = KeyRing.Key.random()!
        #expect(unnamed.id == unnamed.secret.fingerprint && unnamed.id.count == 16)
    }
}

@Suite("Live key ring")
struct LiveKeyRingTests {
    let directory = TemporaryDirectory()

    final class Time: Sendable {
        private let ns = Mutex<UInt64>(1_000_000_000_000)
        var now: UInt64 { ns.withLock { $0 } }
        func pass(seconds: UInt64) { ns.withLock { $0 += seconds * 1_000_000_000 } }
    }

    @Test("a rotation counts after a few seconds, a missing key sooner, a broken file never")
    func follows() throws {
        let path = directory.path + "/keys"
        let time = Time()
        let one = try #require(KeyRing([KeyRing.Key.random(id: "one")!]))
        try KeyFile.create(path, one)
        let live = try LiveKeyRing(path: path) { time.now }
        let two = try #require(KeyRing([KeyRing.Key.random(id: "two")!] + one.keys))
        try KeyFile.replace(path, two)
        #expect(live.ring.first.id == "one", "the file is not read for every object")
        #expect(live.ring(with: "two").secret("two") == nil, "nor for every unknown key")
        time.pass(seconds: 2)
        #expect(live.ring.first.id == "one")
        #expect(live.ring(with: "two").secret("two") != nil)
        #expect(live.ring.first.id == "two")
        try "broken".write(toFile: path, atomically: false, encoding: .utf8)
        time.pass(seconds: 6)
        #expect(live.ring.first.id == "two")
        #expect(live.problem == .malformed(path: path, line: 1, reason: "expected an id and a key"))
        try FileManager.default.removeItem(atPath: path)
        time.pass(seconds: 6)
        #expect(live.ring.first.id == "two", "keys that were good stay good")
        try KeyFile.create(path, one)
        time.pass(seconds: 6)
        #expect(live.ring.keys.map(\.id) == ["one"])
        #expect(live.problem == nil)
    }
}
