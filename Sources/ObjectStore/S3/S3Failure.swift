import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import TransportTLS

/// What a reply that is not a success means. One table, so that every operation says the same.
///
/// Source: "Error responses", Amazon S3 API Reference, and what the servers of `README.md` answer instead.
enum S3Failure {
    static func error(
        _ operation: ObjectStoreOperation, key: String, _ reply: S3Reply
    ) -> ObjectStoreError {
        let fault = S3Fault.read(reply.body)
        let detail = fault.map { $0.message.isEmpty ? $0.code : "\($0.code): \($0.message)" } ?? ""
        let kind = kind(status: reply.status, fault: fault, retryAfter: retryAfter(reply), operation)
        return ObjectStoreError(operation, key: key, kind, status: reply.status, detail: detail)
    }

    /// A key that failed inside a batch delete which itself succeeded.
    static func error(_ operation: ObjectStoreOperation, key: String, _ fault: S3Fault) -> ObjectStoreError {
        let kind = byCode(fault.code, retryAfter: nil, operation) ?? .unavailable
        return ObjectStoreError(operation, key: key, kind, detail: "\(fault.code): \(fault.message)")
    }

    private static func kind(
        status: Int, fault: S3Fault?, retryAfter: Duration?, _ operation: ObjectStoreOperation
    ) -> ObjectStoreError.Kind {
        if let code = fault?.code, let kind = byCode(code, retryAfter: retryAfter, operation) { return kind }
        switch status {
        case 404: return .notFound
        case 401, 403: return .denied
        case 300..<400: return .denied
        case 408: return .timeout
        case 409: return .conflict
        case 416: return .rangeOutsideObject
        case 429, 503: return .throttled(retryAfter: retryAfter)
        case 507: return .full
        case 501: return .invalid("not implemented by the store")
        case 500...: return .unavailable
        default: return .invalid("refused by the store")
        }
    }

    private static func byCode(
        _ code: String, retryAfter: Duration?, _ operation: ObjectStoreOperation
    ) -> ObjectStoreError.Kind? {
        switch code {
        case "NoSuchKey", "NoSuchUpload": .notFound
        case "AccessDenied", "AllAccessDisabled", "AccountProblem", "ExpiredToken", "InvalidAccessKeyId",
            "InvalidToken", "NoSuchBucket", "PermanentRedirect", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
            "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
            .denied
        case "SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "ThrottlingException",
            "RequestLimitExceeded":
            .throttled(retryAfter: retryAfter)
        case "ConditionalRequestConflict", "OperationAborted": .conflict
        case "InvalidRange": .rangeOutsideObject
        case "RequestTimeout": .timeout
        case "InternalError", "InternalServerError": .unavailable
        case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "XAmzContentChecksumMismatch":
            .corrupt("the store received other bytes than were sent")
        case "XMinioStorageFull", "QuotaExceeded", "InsufficientCapacity": .full
        case "NotImplemented": .invalid("not implemented by the store")
        default: nil
        }
    }

    static func retryAfter(_ reply: S3Reply) -> Duration? {
        RetryAfter.parse(reply.headers.first(name: "retry-after"), date: reply.headers.first(name: "date"))
    }

    /// A request that got no whole reply.
    static func error(_ operation: ObjectStoreOperation, key: String, thrown: any Error) -> ObjectStoreError {
        if let error = thrown as? ObjectStoreError { return error }
        if thrown is UploadStopped { return ObjectStoreError(operation, key: key, .cancelled, detail: "stopped") }
        if thrown is CancellationError || Task.isCancelled { return ObjectStoreError(operation, key: key, .cancelled) }
        let timeouts: [HTTPClientError] = [
            .deadlineExceeded, .readTimeout, .writeTimeout, .connectTimeout, .getConnectionFromPoolTimeout,
            .tlsHandshakeTimeout,
        ]
        if let trouble = TLSTrouble.text(thrown) {
            return ObjectStoreError(operation, key: key, .unavailable, detail: trouble)
        }
        if let error = thrown as? HTTPClientError {
            let kind: ObjectStoreError.Kind = timeouts.contains(error) ? .timeout : .unavailable
            return ObjectStoreError(operation, key: key, kind, detail: error.shortDescription)
        }
        if thrown is NIOTooManyBytesError {
            return ObjectStoreError(operation, key: key, .invalid("reply larger than allowed"))
        }
        return ObjectStoreError(operation, key: key, .unavailable, detail: "\(thrown)")
    }
}
