import Edge
import Logging
import NIOCore

/// The intake listeners that the settings ask for.
enum IntakeListeners {
    static func make(
        _ settings: EdgeSettings, sink: any TerminalSink, clock: any WallClock, group: any EventLoopGroup,
        logger: Logger
    ) -> [any IntakeListener] {
        let world = IntakeWorld(clock: clock)
        var listeners: [any IntakeListener] = []
        if let ntrip = settings.ntrip {
            listeners.append(
                NTRIPListener(
                    configuration(ntrip), authority: table(ntrip), sink: sink, world: world, group: group,
                    logger: logger))
        }
        for stream in settings.streams {
            listeners.append(listener(stream, sink: sink, world: world, group: group, logger: logger))
        }
        return listeners
    }

    private static func configuration(_ settings: NTRIPSettings) -> NTRIPConfiguration {
        var configuration = NTRIPConfiguration(host: settings.listen.host, port: settings.listen.port)
        configuration.idleTimeout = settings.idle
        configuration.takeoverSilence = settings.takeover
        return configuration
    }

    private static func table(_ settings: NTRIPSettings) -> MountpointTable {
        MountpointTable(
            settings.mountpoints.map { mountpoint in
                Mountpoint(
                    name: mountpoint.name, password: mountpoint.password,
                    stream: StreamConfiguration(topic: mountpoint.topic, unit: mountpoint.record.unit))
            })
    }

    private static func listener(
        _ settings: StreamSettings, sink: any TerminalSink, world: IntakeWorld, group: any EventLoopGroup,
        logger: Logger
    ) -> any IntakeListener {
        let stream = StreamConfiguration(topic: settings.topic, unit: settings.record.unit)
        let name = settings.role.setting + " " + settings.address.description
        let (host, port) = (settings.address.host, settings.address.port)
        switch settings.role {
        case .tcpListen:
            let identification: TCPListenerConfiguration.Identification =
                settings.terminalID.map { .fixed($0) } ?? .peerAddress
            return TCPListener(
                TCPListenerConfiguration(
                    name: name, host: host, port: port, identification: identification, stream: stream),
                sink: sink, world: world, group: group, logger: logger)
        case .tcpConnect:
            return TCPConnector(
                TCPConnectorConfiguration(
                    name: name, host: host, port: port, terminalID: settings.terminalID, stream: stream),
                sink: sink, world: world, group: group, logger: logger)
        case .udpListen:
            return UDPListener(
                UDPListenerConfiguration(
                    name: name, host: host, port: port, terminalID: settings.terminalID, stream: stream),
                sink: sink, world: world, group: group, logger: logger)
        }
    }
}

extension RecordGranularity {
    fileprivate var unit: StreamConfiguration.RecordUnit {
        switch self {
        case .frame: .frame
        case .epoch: .epoch
        }
    }
}
