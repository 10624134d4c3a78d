/// One address that a gateway listens on, as a firewall must know it.
struct ListenerAddress: Equatable, CustomStringConvertible {
    enum Transport: String {
        case tcp, udp
    }

    var transport: Transport
    var address: HostPort
    /// The setting that asks for it.
    var setting: String

    /// `tcp 0.0.0.0 2101 ntrip.listen`, for scripts: the host is an address or a name, never in brackets.
    var description: String { "\(transport.rawValue) \(address.host) \(address.port) \(setting)" }
}

extension EdgeSettings {
    /// In the order of the example configuration; what is switched off is left out.
    var listeners: [ListenerAddress] {
        let single: [(HostPort?, String)] = [
            (http, "http.listen"), (kafka.listen, "kafka.listen"), (ntrip?.listen, "ntrip.listen"),
        ]
        let servers = single.compactMap { address, setting in
            address.map { ListenerAddress(transport: .tcp, address: $0, setting: setting) }
        }
        let bare = streams.compactMap { stream in
            switch stream.role {
            case .tcpListen: ListenerAddress(transport: .tcp, address: stream.address, setting: stream.role.setting)
            case .udpListen: ListenerAddress(transport: .udp, address: stream.address, setting: stream.role.setting)
            case .tcpConnect: nil
            }
        }
        return servers + bare
    }
}
