import Glibc
import NIOCore

/// Whether each listener's port is free, or held by a cairn that runs. Only reads /proc: nothing is bound, so that a gateway
/// which starts meanwhile finds its ports free.
enum PortCheck {
    static let name = "ports"

    struct Listener: Sendable, Equatable {
        /// The setting.
        var setting: String
        var address: HostPort
        var isDatagram = false
    }

    /// Who has the port.
    enum Holder: Sendable, Equatable {
        case nobody
        /// This user cannot see who.
        case somebody
        case process(name: String, id: Int)
    }

    enum Address: Sendable, Equatable {
        case here
        /// No interface has it.
        case elsewhere
        case unknown(String)
    }

    /// Who may bind ports that are kept for services of the system.
    struct Privilege: Sendable, Equatable {
        /// Ports below need a capability, `net.ipv4.ip_unprivileged_port_start` says.
        var firstFreePort = 1024
        /// Whoever is to bind has it.
        var mayBindBelow: Bool
        /// Nil: a program started by hand.
        var unit: String?
    }

    /// - Parameter isCairnUp: a cairn answers at the role's `http.listen`.
    static func finding(
        _ listener: Listener, _ holder: Holder, _ address: Address, _ privilege: Privilege, isCairnUp: Bool
    ) -> Finding {
        let place = "\(listener.setting) \(listener.address)"
        switch holder {
        case .process("cairn", let id): return .good(name, "\(place) is held by the running cairn (process \(id))")
        case .process("systemd", 1):
            return .good(name, "\(place) is held by systemd for a socket unit (systemctl list-sockets)")
        case .process(let program, let id):
            return .failure(
                name, "\(place) is taken by \(program) (process \(id))",
                "stop it, or set \(listener.setting) to another port")
        case .somebody where isCairnUp: return .good(name, "\(place) is held, by the running cairn as it seems")
        case .somebody:
            return .failure(
                name, "\(place) is taken", "see by whom: ss -ltnup (as root); set \(listener.setting) to another port")
        case .nobody: break
        }
        if listener.address.port < privilege.firstFreePort, !privilege.mayBindBelow {
            return forbidden(listener, place, privilege)
        }
        switch address {
        case .here: return .good(name, "\(place) is free")
        case .elsewhere:
            return .failure(
                name, "\(place): no interface of this machine has that address",
                "set \(listener.setting) to an address of this machine, or to 0.0.0.0 for all")
        case .unknown(let reason):
            return .failure(name, "\(place): \(reason)", "set \(listener.setting) to an address of this machine")
        }
    }

    private static func forbidden(_ listener: Listener, _ place: String, _ privilege: Privilege) -> Finding {
        let first = privilege.firstFreePort
        let other =
            "set \(listener.setting) to a port from \(first) on, or sysctl net.ipv4.ip_unprivileged_port_start=\(listener.address.port)"
        guard let unit = privilege.unit else {
            return .failure(
                name, "\(place): this user may not listen on ports below \(first)",
                other + ", or setcap cap_net_bind_service=+ep for the program")
        }
        let socket = listener.setting == "http.listen" ? "" : ", or let systemd hold it with the unit's .socket"
        return .failure(name, "\(place): \(unit) may not listen on ports below \(first)", other + socket)
    }

    /// Settings that ask for one place twice: only one of them gets it.
    static func collisions(_ listeners: [Listener]) -> [Finding] {
        var found: [Finding] = []
        for (index, one) in listeners.enumerated() {
            for other in listeners[(index + 1)...]
            where one.isDatagram == other.isDatagram && one.address.port == other.address.port && one.address.port != 0
            {
                let hosts = [one.address.host, other.address.host]
                guard hosts[0] == hosts[1] || hosts.contains("0.0.0.0") || hosts.contains("::") else { continue }
                found.append(
                    .failure(
                        name, "\(one.setting) \(one.address) and \(other.setting) \(other.address) are one port",
                        "give each listener a port of its own"))
            }
        }
        return found
    }

    // MARK: Looking

    /// - Parameter unit: of systemd, that will bind; nil: a program that is started by hand, by this user.
    static func privilege(_ unit: UnitCheck.Facts?) -> Privilege {
        let text = SmallText.read("/proc/sys/net/ipv4/ip_unprivileged_port_start") ?? ""
        let first = Int(text) ?? 1024
        guard let unit, unit.properties["LoadState"] == "loaded" else {
            return Privilege(firstFreePort: first, mayBindBelow: hasCapability(), unit: nil)
        }
        let isRoot = ["root", "0", "", nil].contains(unit.properties["User"])
        let isGiven = unit.properties["AmbientCapabilities"]?.contains("cap_net_bind_service") == true
        // In a user namespace of its own a capability says nothing about ports.
        let isAlone = !["no", "", nil].contains(unit.properties["PrivateUsers"])
        return Privilege(firstFreePort: first, mayBindBelow: (isRoot || isGiven) && !isAlone, unit: unit.unit)
    }

    private static func hasCapability() -> Bool {
        let status = SmallText.read("/proc/self/status") ?? ""
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
            let word = line.split(whereSeparator: \.isWhitespace).last, let bits = UInt64(word, radix: 16)
        else { return geteuid() == 0 }
        // CAP_NET_BIND_SERVICE.
        return bits & (1 << 10) != 0
    }

    static func look(_ listener: Listener) -> (Holder, Address) {
        let (host, port) = (listener.address.host, listener.address.port)
        guard let resolved = try? SocketAddress.makeAddressResolvingHost(host, port: port) else {
            return (.nobody, .unknown("the name \(host) has no address"))
        }
        var inodes: Set<String> = []
        for file in listener.isDatagram ? ["udp", "udp6"] : ["tcp", "tcp6"] {
            let table = SmallText.read("/proc/net/\(file)", bytesMax: 16 << 20) ?? ""
            inodes.formUnion(inodesHolding(resolved, in: table, isDatagram: listener.isDatagram))
        }
        return (inodes.isEmpty ? .nobody : holder(of: inodes), bindable(resolved))
    }

    /// Sockets in a table of /proc/net that listen where `address` would.
    static func inodesHolding(_ address: SocketAddress, in table: String, isDatagram: Bool) -> [String] {
        guard let port = address.port, let wanted = hexadecimal(address) else { return [] }
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, isDatagram || fields[3] == "0A" else { return nil }
            let parts = fields[1].split(separator: ":")
            guard parts.count == 2, Int(parts[1], radix: 16) == port else { return nil }
            let isSame = parts[0] == wanted || isAny(parts[0]) || isAny(wanted[...])
            return isSame ? String(fields[9]) : nil
        }
    }

    private static func isAny(_ hexadecimal: Substring) -> Bool { hexadecimal.allSatisfy { $0 == "0" } }

    /// As the kernel writes it: words of four bytes, each in the machine's order.
    private static func hexadecimal(_ address: SocketAddress) -> String? {
        guard let text = address.ipAddress else { return nil }
        let isV6 = address.protocol == .inet6
        var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
        guard inet_pton(isV6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
        return stride(from: 0, to: bytes.count, by: 4).map { start in
            let word = bytes[start..<start + 4].withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
            let digits = String(word, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private static func holder(of inodes: Set<String>) -> Holder {
        let links = Set(inodes.map { "socket:[\($0)]" })
        var first: Holder?
        for id in processes() {
            for descriptor in entries("/proc/\(id)/fd") where links.contains(link("/proc/\(id)/fd/\(descriptor)")) {
                let process = Holder.process(name: SmallText.read("/proc/\(id)/comm") ?? "?", id: id)
                // systemd keeps the sockets of its socket units open beside the service.
                if case .process("cairn", _) = process { return process }
                first = first ?? process
            }
        }
        return first ?? .somebody
    }

    private static func processes() -> [Int] { entries("/proc").compactMap(Int.init) }

    private static func entries(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }

    private static func link(_ path: String) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            let count = readlink(path, buffer.baseAddress!, 255)
            guard count > 0 else { return "" }
            buffer[count] = 0
            return String(cString: buffer.baseAddress!)
        }
    }

    /// Tried with a port of the kernel's choice.
    private static func bindable(_ address: SocketAddress) -> Address {
        var free = address
        free.port = 0
        let descriptor = socket(address.protocol == .inet6 ? AF_INET6 : AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        guard descriptor >= 0 else { return .unknown(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        let refused = free.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        guard refused != 0 else { return .here }
        return errno == EADDRNOTAVAIL ? .elsewhere : .unknown(String(cString: strerror(errno)))
    }
}
