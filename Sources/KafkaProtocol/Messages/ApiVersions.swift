/// Asks what the broker can do; the first request of a connection. Versions 0 to 4.
/// Source: Kafka protocol guide, ApiVersions API (Key: 18); KIP-511.
public struct ApiVersionsRequest: RequestMessage {
    public typealias Response = ApiVersionsResponse
    public static let apiKey = APIKey.apiVersions
    public static let versions: ClosedRange<Int16> = 0...4

    public var clientSoftwareName = ""
    public var clientSoftwareVersion = ""

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        guard wire.version >= 3 else { return }
        try wire.string(&clientSoftwareName)
        try wire.string(&clientSoftwareVersion)
    }
}

/// Its response header is always version 0. A request of an unknown version is answered with version 0 and
/// `unsupportedVersion`.
public struct ApiVersionsResponse: WireMessage {
    public var errorCode = ErrorCode.none
    public var apis: [API] = []
    public var throttleTimeMs: Int32 = 0
    public var supportedFeatures: [SupportedFeature] = []
    /// -1 says that the finalized features are not known. Clients take them when this is larger than what they saw last.
    public var finalizedFeaturesEpoch: Int64 = -1
    public var finalizedFeatures: [FinalizedFeature] = []
    public var isZooKeeperMigrationReady = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.error(&errorCode)
        try wire.array(&apis)
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.tagged(0, isDefault: supportedFeatures.isEmpty) { wire throws(WireError) in
            try wire.array(&supportedFeatures)
        }
        try wire.tagged(1, isDefault: finalizedFeaturesEpoch == -1) { wire throws(WireError) in
            try wire.integer(&finalizedFeaturesEpoch)
        }
        try wire.tagged(2, isDefault: finalizedFeatures.isEmpty) { wire throws(WireError) in
            try wire.array(&finalizedFeatures)
        }
        try wire.tagged(3, isDefault: !isZooKeeperMigrationReady) { wire throws(WireError) in
            try wire.boolean(&isZooKeeperMigrationReady)
        }
    }

    public struct API: WireMessage {
        public var apiKey: Int16 = 0
        public var minVersion: Int16 = 0
        public var maxVersion: Int16 = 0

        public init() {}
        public init(apiKey: Int16, minVersion: Int16, maxVersion: Int16) {
            self.apiKey = apiKey
            self.minVersion = minVersion
            self.maxVersion = maxVersion
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&apiKey)
            try wire.integer(&minVersion)
            try wire.integer(&maxVersion)
        }
    }

    public struct SupportedFeature: WireMessage {
        public var name = ""
        public var minVersion: Int16 = 0
        public var maxVersion: Int16 = 0

        public init() {}
        public init(name: String, minVersion: Int16, maxVersion: Int16) {
            self.name = name
            self.minVersion = minVersion
            self.maxVersion = maxVersion
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.integer(&minVersion)
            try wire.integer(&maxVersion)
        }
    }

    public struct FinalizedFeature: WireMessage {
        public var name = ""
        public var maxVersionLevel: Int16 = 0
        public var minVersionLevel: Int16 = 0

        public init() {}
        public init(name: String, maxVersionLevel: Int16, minVersionLevel: Int16) {
            self.name = name
            self.maxVersionLevel = maxVersionLevel
            self.minVersionLevel = minVersionLevel
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.integer(&maxVersionLevel)
            try wire.integer(&minVersionLevel)
        }
    }
}
