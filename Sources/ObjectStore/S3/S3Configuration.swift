/// Where the bucket is and how patient to be with it.
public struct S3Configuration: Sendable, Equatable {
    /// `http://` or `https://`, host, optional port; for example `https://s3.eu-central-1.amazonaws.com`.
    public var endpoint: String
    public var bucket: String
    public var region: String
    /// nil sends unsigned requests.
    public var credentials: S3Credentials?
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`. Most servers but AWS want it.
    public var pathStyle: Bool

    public var connectTimeout: Duration = .seconds(5)
    /// To a connection that takes the body; from the body's end to the reply's head; then again for the reply's own body to arrive, empty.
    public var attemptTimeout: Duration = .seconds(10)
    /// What is in buffers on the way when a body has been handed over (at most 4 MiB), and each reply, adds its bytes / this to the timeout.
    public var slowestBytesPerSecond: Int = 64 << 10
    /// The longest time in which a connection takes nothing of a request's body, or brings nothing of a reply's (there: one to two of these).
    /// An upload that gets on, however slowly, has no other limit.
    public var progressTimeout: Duration = .seconds(30)

    /// Bodies of this size and more go in parts.
    public var multipartThresholdBytes = 32 << 20
    /// S3 wants 5 MiB to 5 GiB, and at most 10,000 parts.
    public var partSizeBytes = 16 << 20
    /// Parts of a smaller body that goes in parts because the link is slow: the least that S3 takes.
    public var resumablePartBytes = 5 << 20
    public var partsInFlightMax = 2
    public var partRetry = RetryPolicy(attemptsMax: 4, base: .milliseconds(200), cap: .seconds(5))

    /// Above it the signature does not cover the body; a CRC-32C header then does. nil: always covered.
    /// SHA-256 costs 0.5 CPU-s/GB with SHA instructions, 2 to 3 without; over plain HTTP leave it nil.
    public var signedPayloadBytesMax: Int?
    /// The largest object that `get` will hold in memory.
    public var objectBytesMax = 256 << 20
    public var connectionsMax = 64
    /// What the store can do, as ``StoreProbe`` found; decides between native and emulated operations.
    public var capabilities = StoreCapabilities()

    public init(
        endpoint: String, bucket: String, region: String = "us-east-1", credentials: S3Credentials?,
        pathStyle: Bool = true
    ) {
        self.endpoint = endpoint
        self.bucket = bucket
        self.region = region
        self.credentials = credentials
        self.pathStyle = pathStyle
        signedPayloadBytesMax = endpoint.hasPrefix("https:") ? 8 << 20 : nil
    }

    /// Errors: `.invalid` naming the setting that cannot be.
    func validate() throws(ObjectStoreError) {
        let counts = [
            ("slowestBytesPerSecond", slowestBytesPerSecond), ("multipartThresholdBytes", multipartThresholdBytes),
            ("partSizeBytes", partSizeBytes), ("partsInFlightMax", partsInFlightMax),
            ("objectBytesMax", objectBytesMax), ("connectionsMax", connectionsMax),
        ]
        for (name, value) in counts where value < 1 {
            throw ObjectStoreError(.open, key: "", .invalid("\(name) is \(value), at least 1"))
        }
        let times = [
            ("connectTimeout", connectTimeout), ("attemptTimeout", attemptTimeout),
            ("progressTimeout", progressTimeout),
        ]
        for (name, value) in times where value < .milliseconds(1) || value > .seconds(86_400) {
            throw ObjectStoreError(.open, key: "", .invalid("\(name) is \(value), 1 ms to one day"))
        }
    }

    /// Replies that are documents, not objects: 1,000 listed keys of 1,024 bytes, with room.
    /// Of a body that the connection has taken, the most that may still be on its way: Linux's largest send buffer (net.ipv4.tcp_wmem).
    static let buffersBytesMax = 4 << 20
    static let documentBytesMax = 8 << 20
    static let deleteBatchMax = 1000
    static let listPageMax = 1000
    static let partsMax = 10_000
}

/// An endpoint and bucket taken apart into what requests need.
struct S3Endpoint: Sendable, Equatable {
    /// `http` or `https`.
    let scheme: String
    /// As in the `Host` header and in URLs: no port when it is the scheme's own.
    let authority: String
    /// `/bucket` in path style, empty otherwise.
    let basePath: String

    init(_ configuration: S3Configuration) throws(ObjectStoreError) {
        let text =
            configuration.endpoint.hasSuffix("/") ? String(configuration.endpoint.dropLast()) : configuration.endpoint
        guard let split = text.firstRange(of: "://") else { throw Self.flaw("endpoint \(text) has no scheme") }
        scheme = text[..<split.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { throw Self.flaw("scheme \(scheme), not http or https") }
        let host = String(text[split.upperBound...])
        guard !host.isEmpty, host.utf8.allSatisfy(Self.isHostByte) else {
            throw Self.flaw("endpoint \(text) is not scheme://host or scheme://host:port")
        }
        guard !configuration.bucket.isEmpty, configuration.bucket.utf8.allSatisfy(Self.isBucketByte) else {
            throw Self.flaw("bucket name \"\(configuration.bucket)\"")
        }
        let ownPort = scheme == "https" ? ":443" : ":80"
        let authority = host.hasSuffix(ownPort) ? String(host.dropLast(ownPort.count)) : host
        self.authority = configuration.pathStyle ? authority : configuration.bucket + "." + authority
        basePath = configuration.pathStyle ? "/" + configuration.bucket : ""
    }

    /// The path of `key`, or of the bucket itself, as it is sent and signed.
    func path(key: String?) -> String {
        guard let key else { return basePath.isEmpty ? "/" : basePath }
        return basePath + "/" + URIEncoding.path(key)
    }

    func url(path: String, query: String) -> String {
        "\(scheme)://\(authority)\(path)" + (query.isEmpty ? "" : "?" + query)
    }

    private static func flaw(_ what: String) -> ObjectStoreError {
        ObjectStoreError(.open, key: "", .invalid(what))
    }

    private static func isHostByte(_ byte: UInt8) -> Bool { isBucketByte(byte) || "[]:".utf8.contains(byte) }

    private static func isBucketByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
