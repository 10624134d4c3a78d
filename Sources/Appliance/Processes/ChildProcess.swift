import CUring
import Glibc

/// A program of the system that is run, watched and ended in time, with all of its children.
enum ChildProcess {
    struct Outcome: Sendable, Equatable {
        /// Its exit code, or 128 and the number of the signal that ended it, as shells count.
        var code: Int32
        /// The end of what it wrote, standard output and, unless it is not kept, error together.
        var output: [UInt8]
        var isOverTime = false

        var text: String { String(decoding: output, as: UTF8.self) }
        /// Its last line, for people.
        var lastLine: String { text.split(whereSeparator: \.isNewline).last.map(String.init) ?? "" }
    }

    struct Failure: Error, CustomStringConvertible {
        /// `errno` of `posix_spawn(3)`.
        var code: Int32
        var description: String
        var isMissing: Bool { code == ENOENT }
        /// The program itself is the reason.
        var isLasting: Bool { [ENOENT, EACCES, ENOEXEC, ENOTDIR, ELOOP].contains(code) }
    }

    static let outputBytesMax = 256 << 10

    /// Runs `arguments`, its first one by `PATH`. After `timeout`, and when the task is cancelled, its process group gets SIGTERM
    /// and 5 s later SIGKILL. Without `keepsErrors` its standard error goes nowhere.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], keepsErrors: Bool = true, timeout: Duration
    ) async throws(Failure) -> Outcome {
        var child = try Running(arguments, environment, keepsErrors)
        var left = timeout
        var isOverTime = false
        while true {
            child.drain()
            if let code = child.ended() {
                return Outcome(code: code, output: child.output, isOverTime: isOverTime)
            }
            if !isOverTime, left <= .zero || Task.isCancelled {
                isOverTime = true
                child.signal(SIGTERM)
                left = .seconds(5)
            } else if isOverTime, left <= .zero {
                child.signal(SIGKILL)
            }
            left -= pause
            // A cancelled task does not sleep, and yet the child must be waited for.
            if (try? await Task.sleep(for: pause)) == nil { usleep(20_000) }
        }
    }

    private static let pause = Duration.milliseconds(20)

    private struct Running {
        private var pid: pid_t = 0
        private let reader: Int32
        private(set) var output: [UInt8] = []

        init(_ arguments: [String], _ environment: [String: String], _ keepsErrors: Bool) throws(Failure) {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw Failure(code: errno, description: systemError()) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
            reader = ends[0]
            let code = Self.spawn(&pid, arguments, environment, output: ends[1], keepsErrors)
            close(ends[1])
            guard code == 0 else {
                close(ends[0])
                throw Failure(code: code, description: "\(arguments[0]): \(systemError(code))")
            }
        }

        /// Ignored and blocked signals would be inherited, and open files: a listener that lives on in a child keeps its port from the next
        /// start.
        private static func spawn(
            _ pid: inout pid_t, _ arguments: [String], _ environment: [String: String], output: Int32,
            _ keepsErrors: Bool
        ) -> Int32 {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_adddup2(&actions, output, 1)
            if keepsErrors {
                posix_spawn_file_actions_adddup2(&actions, output, 2)
            } else {
                posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
            }
            let refused = cairn_spawn_closes_from(&actions, 3)
            guard refused == 0 else { return refused }
            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            var signals = sigset_t()
            sigemptyset(&signals)
            posix_spawnattr_setsigmask(&attributes, &signals)
            for number in [SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&signals, number) }
            posix_spawnattr_setsigdefault(&attributes, &signals)
            posix_spawnattr_setpgroup(&attributes, 0)
            posix_spawnattr_setflags(
                &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
            var words = arguments.map { strdup($0) } + [nil]
            var variables = inherited(environment).map { strdup($0) } + [nil]
            defer { for word in words + variables { free(word) } }
            return posix_spawnp(&pid, arguments[0], &actions, &attributes, &words, &variables)
        }

        /// This process's variables without its own settings, which may be secret, and with `more`.
        private static func inherited(_ more: [String: String]) -> [String] {
            var found: [String] = []
            var place = environ
            while let word = place.pointee {
                let text = String(cString: word)
                let name = text.prefix { $0 != "=" }
                if !name.hasPrefix("CAIRN_"), more[String(name)] == nil { found.append(text) }
                place += 1
            }
            return found + more.map { "\($0.key)=\($0.value)" }
        }

        /// What can be read now; the beginning goes when there is too much.
        mutating func drain() {
            var bytes = [UInt8](repeating: 0, count: 16 << 10)
            while true {
                let count = read(reader, &bytes, bytes.count)
                guard count > 0 else { return }
                output += bytes[..<count]
                if output.count > outputBytesMax { output.removeFirst(output.count - outputBytesMax) }
            }
        }

        /// Its code, once: what it held is given back.
        mutating func ended() -> Int32? {
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) != 0 else { return nil }
            defer { drainAndClose() }
            let signal = status & 0x7F
            return signal == 0 ? status >> 8 & 0xFF : 128 + signal
        }

        private mutating func drainAndClose() {
            drain()
            close(reader)
        }

        func signal(_ number: Int32) { kill(-pid, number) }
    }
}
