import KafkaProtocol

/// ApiVersions, the one request that the listener answers itself. Source: KIP-511, KIP-584, KAFKA-17492.
extension VersionTable {
    /// Remembers what the client calls itself. Throws where the body cannot be parsed.
    func answer(_ request: KafkaRequest, on connection: KafkaConnection) throws(WireError) -> KafkaResponse {
        guard ApiVersionsRequest.versions.contains(request.header.apiVersion) else {
            return try unsupported(request.header)
        }
        let message = try request.decode(ApiVersionsRequest.self)
        var response = ApiVersionsResponse()
        if request.header.apiVersion >= 3 {
            guard Self.isSoftwareName(message.clientSoftwareName), Self.isSoftwareName(message.clientSoftwareVersion)
            else {
                response.errorCode = .invalidRequest
                return try KafkaResponse(response, for: request.header)
            }
            connection.softwareName = message.clientSoftwareName
            connection.softwareVersion = message.clientSoftwareVersion
        }
        fill(&response, version: request.header.apiVersion)
        return try KafkaResponse(response, for: request.header)
    }

    private func fill(_ response: inout ApiVersionsResponse, version: Int16) {
        response.apis = apis.map {
            .init(apiKey: $0.key.rawValue, minVersion: $0.advertisedMinVersion, maxVersion: $0.maxVersion)
        }
        // Older clients fail on a feature that may be off (KAFKA-17492).
        response.supportedFeatures = features.filter { version >= 4 || $0.supported.lowerBound > 0 }.map {
            .init(name: $0.name, minVersion: $0.supported.lowerBound, maxVersion: $0.supported.upperBound)
        }
        // Java clients take features only when the epoch is above -1, and ours never change while a node runs.
        response.finalizedFeaturesEpoch = 0
        response.finalizedFeatures = features.filter { $0.level > 0 }.map {
            .init(name: $0.name, maxVersionLevel: $0.level, minVersionLevel: $0.level)
        }
    }

    /// A version that we do not know is answered with the body of version 0, so that every client can read what we do know.
    private func unsupported(_ header: RequestHeader) throws(WireError) -> KafkaResponse {
        var response = ApiVersionsResponse()
        response.errorCode = .unsupportedVersion
        let versions = ApiVersionsRequest.versions
        response.apis = [
            .init(
                apiKey: APIKey.apiVersions.rawValue, minVersion: versions.lowerBound, maxVersion: versions.upperBound)
        ]
        var oldest = header
        oldest.apiVersion = 0
        return try KafkaResponse(response, for: oldest)
    }

    /// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
    static func isSoftwareName(_ name: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = name.utf8.first, let last = name.utf8.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
    }
}
