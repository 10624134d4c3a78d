import NIOCore
import NIOHTTP1

extension S3Store {
    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        for key in keys { try ObjectKey.validate(key, operation: .delete) }
        var failures: [String: ObjectStoreError] = [:]
        var byBatch = configuration.capabilities.batchDelete && keys.count > 1
        for start in stride(from: 0, to: keys.count, by: S3Configuration.deleteBatchMax) {
            let batch = keys[start..<min(start + S3Configuration.deleteBatchMax, keys.count)]
            if byBatch, let failed = try await deleteBatch(batch) {
                failures.merge(failed) { first, _ in first }
                continue
            }
            byBatch = false
            for key in batch { failures[key] = try await deleteOne(key) }
        }
        return failures
    }

    /// One DeleteObjects request; nil when the store does not have it (501, or the 400 of stores that know only parts of it).
    func deleteBatch(
        _ keys: ArraySlice<String>
    ) async throws(ObjectStoreError) -> [String: ObjectStoreError]? {
        var request = S3Request(
            operation: .delete, key: keys.first ?? "", method: .POST, path: transport.endpoint.path(key: nil))
        request.query = [("delete", "")]
        let document = S3Document.delete(keys)
        request.body = ObjectBody(document)
        // Required by the API, and by stores that do not know the newer checksum headers.
        request.headers = [
            ("content-md5", Base64.encode(Digest.md5(document))), ("content-type", "application/xml"),
        ]
        let reply = try await transport.send(request)
        if [400, 405, 501].contains(reply.status) { return nil }
        guard reply.status == 200 || reply.status == 204 else { throw failure(request, reply) }
        let faults: [S3Fault]
        do {
            faults = try S3DeleteReply(reply.body).faults
        } catch {
            throw ObjectStoreError(
                .delete, key: request.key, .corrupt("unreadable reply: \(error)"), status: reply.status)
        }
        var failures: [String: ObjectStoreError] = [:]
        for fault in faults where fault.code != "NoSuchKey" {
            guard let key = fault.key, keys.contains(key) else {
                throw S3Failure.error(.delete, key: request.key, fault)
            }
            failures[key] = S3Failure.error(.delete, key: key, fault)
        }
        return failures
    }

    /// The key's own failure is returned; one that would hit every other key as well is thrown.
    private func deleteOne(_ key: String) async throws(ObjectStoreError) -> ObjectStoreError? {
        let request = request(.delete, .DELETE, key)
        let reply = try await transport.send(request)
        if (200..<300).contains(reply.status) { return nil }
        let error = failure(request, reply)
        if error.kind == .notFound { return nil }
        if case .throttled = error.kind { throw error }
        return error
    }
}
