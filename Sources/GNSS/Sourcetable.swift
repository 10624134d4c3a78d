/// What an NTRIP caster offers, as lines of text. Source: RTCM 10410.1 section 8; fields in its order.
public struct Sourcetable: Sendable, Equatable {
    public var casters: [Caster] = []
    public var networks: [Network] = []
    public var streams: [Stream] = []

    public init(casters: [Caster] = [], networks: [Network] = [], streams: [Stream] = []) {
        self.casters = casters
        self.networks = networks
        self.streams = streams
    }

    /// All lines with CR LF, then `ENDSOURCETABLE`.
    public var text: String {
        let lines = casters.map(\.line) + networks.map(\.line) + streams.map(\.line)
        return lines.map { $0 + "\r\n" }.joined() + "ENDSOURCETABLE\r\n"
    }

    /// A `STR` line: 19 fields.
    public struct Stream: Sendable, Equatable {
        public var mountpoint: String
        public var identifier = ""
        public var format = ""
        public var formatDetails = ""
        /// 0 none, 1 L1, 2 L1 and L2.
        public var carrier = 2
        public var navigationSystem = ""
        public var network = ""
        public var country = ""
        public var latitude = 0.0
        public var longitude = 0.0
        public var generator = ""
        public var bitrate = 0

        public init(mountpoint: String) {
            self.mountpoint = mountpoint
        }

        public var line: String {
            render([
                "STR", mountpoint, identifier, format, formatDetails, String(carrier), navigationSystem, network,
                country,
                hundredths(latitude), hundredths(longitude), "0", "0", generator, "none", "B", "N", String(bitrate), "",
            ])
        }
    }

    /// A `CAS` line: 12 fields.
    public struct Caster: Sendable, Equatable {
        public var host: String
        public var port: Int
        public var identifier: String
        public var operatorName = ""
        public var country = ""
        public var latitude = 0.0
        public var longitude = 0.0

        public init(host: String, port: Int, identifier: String) {
            self.host = host
            self.port = port
            self.identifier = identifier
        }

        public var line: String {
            render([
                "CAS", host, String(port), identifier, operatorName, "0", country, hundredths(latitude),
                hundredths(longitude), "", "", "",
            ])
        }
    }

    /// A `NET` line: 9 fields.
    public struct Network: Sendable, Equatable {
        public var identifier: String
        public var operatorName = ""
        public var webNetwork = ""
        public var webStreams = ""
        public var webRegistration = ""

        public init(identifier: String) {
            self.identifier = identifier
        }

        public var line: String {
            render(["NET", identifier, operatorName, "B", "N", webNetwork, webStreams, webRegistration, ""])
        }
    }
}

/// Joins fields with semicolons. A character that would break the table becomes a space: operators and receivers write these.
private func render(_ fields: [String]) -> String {
    fields.map { field in
        String(String.UnicodeScalarView(field.unicodeScalars.map { $0 == ";" || $0.value < 0x20 ? " " : $0 }))
    }.joined(separator: ";")
}

/// Degrees with two decimals, as sourcetables have them.
private func hundredths(_ degrees: Double) -> String {
    guard degrees.isFinite, abs(degrees) <= 360 else { return "0.00" }
    let steps = Int((degrees * 100).rounded())
    let fraction = String(abs(steps) % 100)
    return (steps < 0 ? "-" : "") + String(abs(steps) / 100) + "." + (fraction.count < 2 ? "0" : "") + fraction
}
