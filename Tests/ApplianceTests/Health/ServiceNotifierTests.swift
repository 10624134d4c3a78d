import Glibc
import Testing

@testable import Appliance

@Suite("Service notifier")
struct ServiceNotifierTests {
    @Test("datagrams reach the manager's socket, and nothing happens without one")
    func datagrams() throws {
        let path = "/tmp/cairn-notify-\(UInt64.random(in: .min ... .max))"
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer {
            close(descriptor)
            unlink(path)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        let notifier = ServiceNotifier(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000"])
        #expect(notifier.watchdogInterval == .seconds(30))
        notifier.ready()
        notifier.status("two\nlines")
        notifier.watchdog()
        var received: [String] = []
        for _ in 0..<3 {
            var bytes = [UInt8](repeating: 0, count: 200)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            received.append(count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : "nothing")
        }
        #expect(received == ["READY=1", "STATUS=two lines", "WATCHDOG=1"])
        ServiceNotifier(environment: [:]).ready()
        ServiceNotifier(environment: ["NOTIFY_SOCKET": "/nowhere/at/all"]).ready()
        ServiceNotifier(environment: ["NOTIFY_SOCKET": String(repeating: "x", count: 300)]).ready()
    }

    @Test("a watchdog that is meant for another process, or none, is not ours")
    func watchdog() {
        let other = ["WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"]
        #expect(ServiceNotifier(environment: other, processID: 2).watchdogInterval == nil)
        #expect(ServiceNotifier(environment: other, processID: 1).watchdogInterval == .seconds(1))
        #expect(ServiceNotifier(environment: ["WATCHDOG_USEC": "0"]).watchdogInterval == nil)
        #expect(ServiceNotifier(environment: ["WATCHDOG_USEC": "much"]).watchdogInterval == nil)
        #expect(ServiceNotifier(environment: [:]).watchdogInterval == nil)
    }
}
