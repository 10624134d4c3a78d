import NIOCore
import NIOHTTP1

extension S3Store {
    /// Aborts uploads in parts under `prefix` that nobody will go on with: all but those that the journal knows for a key of `keys`. For the start of
    /// the only writer of that prefix. Returns how many; errors of single ones are left to the bucket's lifecycle rule.
    /// Errors: those of listing, for want of a right or of support.
    public func abortLeftovers(prefix: String, keeping keys: Set<String>) async throws(ObjectStoreError) -> Int {
        var kept: Set<String> = []
        for entry in journal?.entries ?? [] where ObjectKey.hasPrefix(entry.key, prefix) {
            if keys.contains(entry.key) { kept.insert(entry.uploadID) } else { journal?.remove(entry.key) }
        }
        var count = 0
        // A page has a thousand; what is left after a few is found by the next start.
        for _ in 0..<Self.leftoverPagesMax {
            let leftovers = try await uploads(prefix: prefix).filter { !kept.contains($0.uploadID) }
            var aborted = 0
            for leftover in leftovers where await abort(leftover.key, leftover.uploadID) { aborted += 1 }
            count += aborted
            if aborted == 0 { break }
        }
        return count
    }

    private static var leftoverPagesMax: Int { 8 }

    private func uploads(prefix: String) async throws(ObjectStoreError) -> [(key: String, uploadID: String)] {
        var request = S3Request(operation: .list, key: prefix, method: .GET, path: transport.endpoint.path(key: nil))
        request.query = [("uploads", ""), ("prefix", prefix)]
        let reply = try await transport.send(request)
        guard reply.status == 200 else { throw failure(request, reply) }
        guard let root = try? XMLReader.root(of: reply.body) else {
            throw ObjectStoreError(.list, key: prefix, .corrupt("unreadable list of uploads"), status: reply.status)
        }
        return root.children("Upload").compactMap { item in
            guard let key = item.text("Key"), let id = item.text("UploadId"), ObjectKey.hasPrefix(key, prefix) else {
                return nil
            }
            return (key, id)
        }
    }

    private func abort(_ key: String, _ uploadID: String) async -> Bool {
        var request = request(.put, .DELETE, key)
        request.query = [("uploadId", uploadID)]
        guard let reply = try? await transport.send(request) else { return false }
        return reply.status == 204 || reply.status == 200
    }
}
