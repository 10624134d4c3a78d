import Edge
import NIOCore
import Testing
import Uplink
import WriteAheadLog

@testable import Appliance

@Suite("Doctor: verdicts")
struct DoctorVerdictTests {
    static let gib = 1 << 30

    static func directory(
        mode: UInt32 = 0o700, isWritable: Bool = true, type: String = "ext4", isReadOnly: Bool = false,
        freeBytes: Int = 20 * gib, freeFiles: Int = 1_000_000
    ) -> DataDirectoryCheck.Facts {
        DataDirectoryCheck.Facts(
            path: "/data", exists: true, isDirectory: true, mode: mode, isWritable: isWritable,
            fileSystem: DataDirectoryCheck.FileSystem(
                type: type, isReadOnly: isReadOnly, freeBytes: freeBytes, totalBytes: 32 * gib, freeFiles: freeFiles))
    }

    static let need = DataDirectoryCheck.Need(quotaBytes: 12 * gib, usedBytes: gib, leastBytes: 64 << 20)

    static func verdicts(_ facts: DataDirectoryCheck.Facts) -> [Finding.Verdict] {
        DataDirectoryCheck.findings(facts, need: need).map(\.verdict)
    }

    @Test("a directory on a disk with room for the quotas is good")
    func goodDirectory() { #expect(Self.verdicts(Self.directory()) == [.good, .good]) }

    @Test("what is wrong with a directory is said, with what to do")
    func badDirectories() {
        #expect(Self.verdicts(Self.directory(mode: 0o777)) == [.warning, .good])
        #expect(Self.verdicts(Self.directory(isWritable: false)) == [.failure, .good])
        #expect(Self.verdicts(Self.directory(isReadOnly: true)).first == .failure)
        #expect(Self.verdicts(Self.directory(type: "tmpfs")) == [.good, .failure, .good])
        #expect(Self.verdicts(Self.directory(type: "nfs4")) == [.good, .warning, .good])
        var file = Self.directory()
        file.isDirectory = false
        #expect(DataDirectoryCheck.directory(file).verdict == .failure)
        for facts in [Self.directory(mode: 0o777), Self.directory(isWritable: false), Self.directory(type: "tmpfs")] {
            for finding in DataDirectoryCheck.findings(facts, need: Self.need) where finding.verdict != .good {
                #expect(finding.advice?.isEmpty == false)
            }
        }
    }

    @Test("a directory that is not there is good only where it can be made")
    func absentDirectory() {
        let absent = DataDirectoryCheck.Facts(path: "/data", exists: false, canBeMade: true)
        #expect(DataDirectoryCheck.directory(absent).verdict == .good)
        #expect(
            DataDirectoryCheck.directory(DataDirectoryCheck.Facts(path: "/data", exists: false)).verdict == .failure)
    }

    @Test("space: what the log has already counts for its quotas; a full disk fails")
    func space() {
        func verdict(free: Int, files: Int = 1_000_000) -> Finding.Verdict {
            DataDirectoryCheck.space(Self.directory(freeBytes: free, freeFiles: files).fileSystem!, Self.need).verdict
        }
        #expect(verdict(free: 11 * Self.gib) == .good)
        #expect(verdict(free: 11 * Self.gib - 1) == .warning)
        #expect(verdict(free: 64 << 20) == .warning)
        #expect(verdict(free: (64 << 20) - 1) == .failure)
        #expect(verdict(free: 11 * Self.gib, files: 999) == .warning)
    }

    @Test("the mount with the longest name above a path is its file system")
    func mounts() {
        let mounts = """
            /dev/sda1 / ext4 rw 0 0
            tmpfs /srv tmpfs rw 0 0
            /dev/sdb1 /srv/my\\040data xfs rw 0 0
            """
        func type(_ path: String) -> String { DataDirectoryCheck.FileSystem.type(of: path, mounts: mounts) }
        #expect(type("/no-such-place") == "ext4")
        #expect(type("/srv") == "tmpfs")
        #expect(type("/srvx") == "ext4")
        #expect(type("/srv/my data/x") == "xfs")
    }

    @Test(
        "a flush faster than flash, or slower than patience, is a warning",
        arguments: [
            (5_000, .warning), (29_999, .warning), (30_000, .good), (2_000_000, .good), (300_000_000, .warning),
        ]
            as [(UInt64, Finding.Verdict)])
    func disk(nanoseconds: UInt64, verdict: Finding.Verdict) {
        #expect(DiskCheck.speed(Array(repeating: nanoseconds, count: 50), cache: "write back").verdict == verdict)
    }

    @Test("one slow write of a hundred is named and no warning; two are")
    func diskTail() {
        let fast = Array(repeating: UInt64(500_000), count: 199)
        #expect(DiskCheck.speed(fast + [900_000_000], cache: nil).verdict == .good)
        #expect(DiskCheck.speed(fast + [900_000_000], cache: nil).found.contains("longest 900.0 ms"))
        #expect(DiskCheck.speed(fast + [900_000_000, 900_000_000, 900_000_000], cache: nil).verdict == .warning)
        #expect(DiskCheck.speed([], cache: nil).verdict == .skipped)
    }

    @Test("a full disk is told apart from one that may not be written and one that is broken")
    func diskErrors() {
        #expect(DiskCheck.failed(DiskError(.write, "/d", errno: 28)).found.contains("no room"))
        #expect(DiskCheck.failed(DiskError(.create, "/d", errno: 13)).verdict == .skipped)
        #expect(DiskCheck.failed(DiskError(.sync, "/d", errno: 5)).verdict == .failure)
        #expect(DiskCheck.engine(nil).verdict == .good)
        #expect(DiskCheck.engine("EPERM").verdict == .warning)
        #expect(DiskCheck.direct(nil) == nil)
    }

    @Test("device numbers are taken apart as the kernel's headers do")
    func deviceNumbers() {
        #expect(DiskCheck.deviceNumber(0xfe00) == "254:0")
        #expect(DiskCheck.deviceNumber(0x0010_3201) == "50:257")
    }

    @Test("an impossible time fails only where something is signed by it")
    func clock() {
        func verdict(_ quality: ClockQuality, needsTime: Bool) -> Finding.Verdict {
            let reading = WallReading(wallMs: 0, monotonicNs: 0, quality: quality)
            return ClockCheck.finding(reading, needsTime: needsTime).verdict
        }
        #expect(verdict(.synchronized, needsTime: true) == .good)
        #expect(verdict(.freeRunning, needsTime: true) == .warning)
        #expect(verdict(.unknown, needsTime: false) == .warning)
        #expect(verdict(.unknown, needsTime: true) == .failure)
    }

    @Test("a taken port fails unless cairn has it")
    func ports() {
        let listener = PortCheck.Listener(setting: "kafka.listen", address: HostPort(host: "0.0.0.0", port: 9092))
        func verdict(_ holder: PortCheck.Holder, _ address: PortCheck.Address = .here, up: Bool = false)
            -> Finding.Verdict
        { PortCheck.finding(listener, holder, address, .init(mayBindBelow: false), isCairnUp: up).verdict }
        #expect(verdict(.nobody) == .good)
        #expect(verdict(.nobody, .elsewhere) == .failure)
        #expect(verdict(.process(name: "cairn", id: 7)) == .good)
        #expect(verdict(.process(name: "nginx", id: 7), up: true) == .failure)
        #expect(verdict(.process(name: "systemd", id: 1)) == .good)
        #expect(verdict(.somebody) == .failure)
        #expect(verdict(.somebody, up: true) == .good)
    }

    @Test("tables of /proc/net: listeners on the address, or on all")
    func socketTables() throws {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
               1: 00000000:0835 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1
               2: 0100007F:2385 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 333 1
            """
        func inodes(_ host: String, _ port: Int, isDatagram: Bool = false) throws -> [String] {
            PortCheck.inodesHolding(
                try SocketAddress(ipAddress: host, port: port), in: table, isDatagram: isDatagram)
        }
        #expect(try inodes("127.0.0.1", 0x2384) == ["111"])
        #expect(try inodes("127.0.0.2", 0x2384) == [])
        #expect(try inodes("0.0.0.0", 0x2384) == ["111"])
        #expect(try inodes("127.0.0.1", 0x0835) == ["222"])
        // A connection is no listener; a datagram socket has no such state.
        #expect(try inodes("127.0.0.1", 0x2385) == [])
        #expect(try inodes("127.0.0.1", 0x2385, isDatagram: true) == ["333"])
    }

    @Test("files with secrets are their owner's alone")
    func secrets() {
        func verdict(_ mode: UInt32, _ secrets: [String] = ["store.secret-key"]) -> Finding.Verdict? {
            SecretsCheck.finding(SecretsCheck.File(path: "/f", mode: mode, secrets: secrets))?.verdict
        }
        #expect(verdict(0o600) == .good)
        #expect(verdict(0o640) == .warning)
        #expect(verdict(0o604) == .warning)
        #expect(verdict(0o644, []) == nil)
    }

    @Test("announcements: refused keys, wrong nodes and dead ones are told apart")
    func announcements() {
        func finding(_ kind: AnnounceError.Kind, isSigned: Bool = true) -> Finding {
            NetworkCheck.announce("http://c", .failure(AnnounceError(kind)), isSigned: isSigned)
        }
        #expect(NetworkCheck.announce("http://c", .success(()), isSigned: true).verdict == .good)
        #expect(finding(.refused).found.contains("does not take"))
        #expect(finding(.badReply).found.contains("key"))
        #expect(finding(.badReply, isSigned: false).found.contains("does not answer as a cloud node"))
        #expect(finding(.unreachable).verdict == .failure)
        #expect(finding(.busy(retryAfter: nil)).verdict == .warning)
    }

    @Test("names of URLs, and those that need no name service")
    func names() {
        #expect(NetworkCheck.name(ofURL: "https://s3.example.org:8443/x") == "s3.example.org")
        #expect(NetworkCheck.name(ofURL: "http://10.0.0.1:9644") == nil)
        #expect(NetworkCheck.name(ofURL: "http://[fd00::1]:9644") == nil)
        #expect(NetworkCheck.names("h", addresses: nil, seconds: 5).verdict == .failure)
        #expect(NetworkCheck.names("h", addresses: [], seconds: 5).verdict == .failure)
        #expect(
            NetworkCheck.names("h", addresses: ["10.0.0.1", "10.0.0.2"], seconds: 5).found == "h is 10.0.0.1 and 1 more"
        )
    }
}
