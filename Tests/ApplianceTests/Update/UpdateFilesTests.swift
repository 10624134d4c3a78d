import Foundation
import Glibc
import NIOCore
import SiteAuthority
import Testing

@testable import Appliance

@Suite("Files of an update")
struct UpdateFilesTests {
    private func withFiles(_ body: (UpdateFiles) async throws -> Void) async throws {
        let root = NSTemporaryDirectory() + "cairn-update-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        try await body(UpdateFiles(dataDirectory: root))
    }

    @Test("the memory comes back; a damaged or newer one counts as none and is kept aside")
    func memory() async throws {
        try await withFiles { files in
            #expect(files.load() == nil)
            var memory = UpdateMachine.Memory(order: UpdateMachineTests.order)
            memory.installer = UpdateMachineTests.old
            memory.phase = .awaitingReboot
            try files.save(memory)
            #expect(files.load() == memory)
            let path = files.directory + "/state.json"
            try Data("{\"formatVersion\":1,".utf8).write(to: URL(fileURLWithPath: path))
            #expect(files.load() == nil)
            #expect(FileManager.default.fileExists(atPath: path + ".damaged"))
            memory.formatVersion = 2
            try files.save(memory)
            #expect(files.load() == nil)
        }
    }

    @Test("a bundle grows by ranges, is summed, and others are removed")
    func bundle() async throws {
        try await withFiles { files in
            try files.save(UpdateMachine.Memory())
            let order = UpdateMachineTests.order
            #expect(files.sizeBytes(order) == 0 && files.sizeBytes(nil) == 0)
            try files.append(ByteBuffer(string: "abc"), to: order, at: 0)
            try files.append(ByteBuffer(string: "def"), to: order, at: 3)
            #expect(files.sizeBytes(order) == 6)
            #expect(await files.sha256(order) == "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721")
            try Data("x".utf8).write(to: URL(fileURLWithPath: files.directory + "/other.raucb"))
            files.removeBundles(keeping: order)
            #expect(!FileManager.default.fileExists(atPath: files.directory + "/other.raucb"))
            #expect(files.sizeBytes(order) == 6)
            files.removeBundles()
            #expect(files.sizeBytes(order) == 0 && files.load() != nil)
            #expect(await files.sha256(order) == nil)
        }
    }

    @Test("what lanes were promised is theirs, and where too much was promised half of what is free")
    func room() async throws {
        try await withFiles { files in
            try files.save(UpdateMachine.Memory())
            let free = try #require(GatewayReport.Disk(path: files.directory)).freeBytes
            #expect(files.shortage(1, promisedBytes: 0) == nil)
            #expect(files.shortage(1 << 60, promisedBytes: 0) != nil)
            #expect(files.shortage(free / 4, promisedBytes: .max) == nil)
            #expect(files.shortage(free / 4 * 3, promisedBytes: .max) != nil)
        }
    }

    @Test("image, slot and start of the machine are read as they are written")
    func identity() throws {
        let fixture = try FixtureTree([
            "/etc/cairn-image": "# comment\nVERSION=\"1.4.2\"\nBUILD=20261126.abc\nARCH=arm64\n",
            "/proc/cmdline": "root=/dev/sda3 rauc.slot=B quiet\n",
            "/proc/sys/kernel/random/boot_id": "0a1b\n",
        ])
        #expect(
            SystemIdentity.read(root: fixture.root)
                == SystemIdentity(version: "1.4.2", build: "20261126.abc", slot: "B", boot: "0a1b"))
        #expect(SystemIdentity.read(root: "/nowhere") == SystemIdentity())
    }
}

@Suite("Programs of the system")
struct ChildProcessTests {
    @Test("code, output of both streams, and no settings of ours in its variables")
    func outcome() async throws {
        let found = try await ChildProcess.run(
            ["sh", "-c", "echo out; echo err >&2; echo $MORE; exit 3"], environment: ["MORE": "more"],
            timeout: .seconds(30))
        #expect(found.code == 3 && found.text == "out\nerr\nmore\n" && found.lastLine == "more" && !found.isOverTime)
        let quiet = try await ChildProcess.run(
            ["sh", "-c", "echo out; echo err >&2"], keepsErrors: false, timeout: .seconds(30))
        #expect(quiet.text == "out\n")
    }

    @Test("no open file of ours lives on in it")
    func files() async throws {
        // Without O_CLOEXEC, as sockets of others may be.
        let open = dup(0)
        defer { close(open) }
        let found = try await ChildProcess.run(["sh", "-c", "ls /proc/$$/fd"], timeout: .seconds(30))
        #expect(!found.text.split(separator: "\n").contains("\(open)"))
    }

    @Test("much output is cut at its beginning")
    func bounded() async throws {
        let found = try await ChildProcess.run(
            ["sh", "-c", "head -c 2000000 /dev/zero; echo end"], timeout: .seconds(60))
        #expect(found.output.count == ChildProcess.outputBytesMax && found.text.hasSuffix("end\n"))
    }

    @Test("what does not end is ended, with its children")
    func overTime() async throws {
        let found = try await ChildProcess.run(["sh", "-c", "sleep 600 & sleep 600"], timeout: .milliseconds(300))
        #expect(found.isOverTime && found.code == 128 + 15)
    }

    @Test("a program that is not there is an error that says so")
    func missing() async throws {
        await #expect(throws: ChildProcess.Failure.self) {
            try await ChildProcess.run(["/nonexistent/tool"], timeout: .seconds(1))
        }
    }
}
