/// An access key of an S3 server. Never printed: descriptions, dumps and errors show the key's id only.
public struct S3Credentials: Sendable, Equatable {
    public var accessKeyID: String
    public var secretAccessKey: String
    /// Of temporary credentials.
    public var sessionToken: String?

    public init(accessKeyID: String, secretAccessKey: String, sessionToken: String? = nil) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }
}

extension S3Credentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        "S3Credentials(\(accessKeyID), secret redacted\(sessionToken == nil ? "" : ", session token redacted"))"
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["accessKeyID": accessKeyID]) }
}

/// AWS Signature Version 4: facts of a request in, headers or a query out. No clock: the time is an argument.
///
/// The path is signed as it is sent, encoded once and not normalised, which is what S3 does and other AWS services do not.
/// Source: "AWS Signature Version 4 for API requests", AWS IAM User Guide, and its S3 pages.
public struct SigV4: Sendable {
    /// `x-amz-content-sha256` of a body that the signature does not cover.
    public static let unsignedPayload = "UNSIGNED-PAYLOAD"
    /// SHA-256 of no bytes.
    public static let emptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    static let algorithm = "AWS4-HMAC-SHA256"

    public var credentials: S3Credentials
    public var region: String
    public var service: String

    public init(credentials: S3Credentials, region: String, service: String = "s3") {
        self.credentials = credentials
        self.region = region
        self.service = service
    }

    /// What of a request is signed.
    public struct Request: Sendable {
        public var method: String
        /// As sent: begins with `/`, percent-encoded once.
        public var path: String
        /// Not encoded, in any order.
        public var query: [(name: String, value: String)]
        /// All that shall be signed; `host` must be among them.
        public var headers: [(name: String, value: String)]
        /// Lower-case hex SHA-256 of the body, or ``unsignedPayload``.
        public var payloadHash: String

        public init(
            method: String, path: String, query: [(name: String, value: String)] = [],
            headers: [(name: String, value: String)], payloadHash: String = SigV4.emptyPayload
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.payloadHash = payloadHash
        }
    }

    /// The headers to add: `x-amz-date`, `x-amz-security-token` for temporary credentials, `authorization`.
    /// `timeMs`: milliseconds since 1970-01-01 UTC.
    public func sign(_ request: Request, timeMs: Int64) -> [(name: String, value: String)] {
        let stamp = TimeText.basic(timeMs)
        var added: [(name: String, value: String)] = [("x-amz-date", stamp)]
        if let token = credentials.sessionToken { added.append(("x-amz-security-token", token)) }
        let canonical = Canonical(request, headers: request.headers + added, query: request.query)
        let authorization =
            "\(Self.algorithm) Credential=\(credentials.accessKeyID)/\(scope(stamp)), "
            + "SignedHeaders=\(canonical.signedHeaders), Signature=\(signature(canonical, stamp))"
        added.append(("authorization", authorization))
        return added
    }

    /// The query string of a URL that lets its holder send `request` for `expiresSeconds` (1 to 604,800) from `timeMs` on.
    public func presign(_ request: Request, expiresSeconds: Int, timeMs: Int64) -> String {
        let stamp = TimeText.basic(timeMs)
        let names = Canonical.headerLines(request.headers).map(\.name).joined(separator: ";")
        var query =
            request.query + [
                ("X-Amz-Algorithm", Self.algorithm),
                ("X-Amz-Credential", "\(credentials.accessKeyID)/\(scope(stamp))"),
                ("X-Amz-Date", stamp), ("X-Amz-Expires", String(min(max(expiresSeconds, 1), 604_800))),
                ("X-Amz-SignedHeaders", names),
            ]
        if let token = credentials.sessionToken { query.append(("X-Amz-Security-Token", token)) }
        let canonical = Canonical(request, headers: request.headers, query: query)
        return canonical.query + "&X-Amz-Signature=" + signature(canonical, stamp)
    }

    private func scope(_ stamp: String) -> String { "\(stamp.prefix(8))/\(region)/\(service)/aws4_request" }

    private func signature(_ canonical: Canonical, _ stamp: String) -> String {
        let toSign = [Self.algorithm, stamp, scope(stamp), Hex.lowercase(Digest.sha256(canonical.text))]
        var key = Array(("AWS4" + credentials.secretAccessKey).utf8)
        for part in [String(stamp.prefix(8)), region, service, "aws4_request"] {
            key = Digest.hmacSHA256(key: key, part)
        }
        return Hex.lowercase(Digest.hmacSHA256(key: key, toSign.joined(separator: "\n")))
    }

    /// The one spelling of a request that both sides hash.
    private struct Canonical {
        let text: String
        let query: String
        let signedHeaders: String

        init(_ request: Request, headers: [(name: String, value: String)], query items: [(name: String, value: String)])
        {
            let lines = Self.headerLines(headers)
            query = URIEncoding.query(items)
            signedHeaders = lines.map(\.name).joined(separator: ";")
            text =
                "\(request.method)\n\(request.path)\n\(query)\n"
                + lines.map { "\($0.name):\($0.value)\n" }.joined()
                + "\n\(signedHeaders)\n\(request.payloadHash)"
        }

        /// Names in lower case and sorted, equal names joined by commas, runs of blanks in values made one.
        static func headerLines(_ headers: [(name: String, value: String)]) -> [(name: String, value: String)] {
            var values: [String: [String]] = [:]
            for header in headers { values[header.name.lowercased(), default: []].append(squeezed(header.value)) }
            return values.map { (name: $0.key, value: $0.value.joined(separator: ",")) }
                .sorted { ObjectKey.isBefore($0.name, $1.name) }
        }

        private static func squeezed(_ value: String) -> String {
            value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
        }
    }
}
