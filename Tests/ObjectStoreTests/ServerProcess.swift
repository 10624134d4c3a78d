import AsyncHTTPClient
import FoundationEssentials
import Glibc
import NIOCore
import Testing

/// A foreign server, run for the length of one test: own process group, own directory, output to a file, killed at the end.
final class ServerProcess: Sendable {
    let directory = TemporaryDirectory()
    private let pid: pid_t

    /// Where the servers' programs are: `$CAIRN_VENV/bin`, or `.venv/bin` at the package's root.
    static let programs: String = {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        return (getenv("CAIRN_VENV").map { String(cString: $0) } ?? root + "/.venv") + "/bin"
    }()

    static func has(_ program: String) -> Bool { access("\(programs)/\(program)", X_OK) == 0 }

    static func absence(_ program: String) -> Comment {
        "no \(programs)/\(program): set CAIRN_VENV to a Python venv that has it"
    }

    /// `arguments` is given the process's own directory.
    init(_ program: String, environment: [String] = [], _ arguments: (String) throws -> [String]) throws {
        let path = Self.programs + "/" + program
        let given = ["PATH=/usr/bin:/bin", "HOME=\(directory.path)"] + environment
        let words = try [path] + arguments(directory.path)
        pid = try Self.spawn(words, environment: given, output: directory.path + "/output")
    }

    deinit {
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }

    /// The last of what it printed.
    var output: String {
        String((try? String(contentsOfFile: directory.path + "/output", encoding: .utf8))?.suffix(2000) ?? "")
    }

    private static func spawn(_ words: [String], environment: [String], output: String) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var argv = words.map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer {
            for word in argv + envp { free(word) }
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw Errno(number: code) }
        return pid
    }

    /// Asks `url` until anything answers; throws with the server's output after 60 seconds.
    func ready(_ url: String) async throws {
        let clock = ContinuousClock()
        let end = clock.now.advanced(by: .seconds(60))
        while clock.now < end {
            if (try? await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(2))) != nil {
                return
            }
            try await clock.sleep(for: .milliseconds(100))
        }
        throw NotReady(output: output)
    }

    struct NotReady: Error { var output: String }

    /// Loopback ports that were free a moment ago, all different.
    static func freePorts(_ count: Int) throws -> [Int] {
        var sockets: [Int32] = []
        defer { for descriptor in sockets { close(descriptor) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let bound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
                }
            }
            guard bound else { throw Errno(number: errno) }
            return Int(UInt16(bigEndian: address.sin_port))
        }
    }
}
