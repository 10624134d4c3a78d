import Glibc

/// Tells the service manager how the service is: sd_notify(3), the datagrams themselves, so that no library is needed.
///
/// Nothing happens where `NOTIFY_SOCKET` is not set. Never blocks; what cannot be sent is dropped.
struct ServiceNotifier: Sendable {
    /// A path, or `@name` of the abstract namespace.
    private let socketName: String?
    /// How often the manager wants to hear of the service, if at all.
    let watchdogInterval: Duration?

    /// - Parameter environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    init(environment: [String: String], processID: Int32 = getpid()) {
        socketName = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let isOurs = environment["WATCHDOG_PID"].map { $0 == String(processID) } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap(UInt64.init) ?? 0
        watchdogInterval =
            isOurs && microseconds > 0 ? .microseconds(Int64(clamping: min(microseconds, 86_400_000_000))) : nil
    }

    func ready() { send("READY=1") }
    func stopping() { send("STOPPING=1") }
    func watchdog() { send("WATCHDOG=1") }

    /// One line that `systemctl status` shows.
    func status(_ text: String) { send("STATUS=" + text.replacing("\n", with: " ")) }

    private func send(_ message: String) {
        guard let socketName else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(socketName.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        // The path follows the family.
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var text = message
        text.withUTF8 { bytes in
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { destination in
                    _ = sendto(
                        descriptor, bytes.baseAddress, bytes.count,
                        Int32(MSG_DONTWAIT)
                            | Int32(MSG_NOSIGNAL), destination, length)
                }
            }
        }
    }
}
