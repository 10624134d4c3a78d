import NIOCore
import NIOHTTP1

extension S3Store {
    /// Forgets the uploads in parts under `prefix` that are not for a key of `keys`. Call it before uploads begin.
    public func forgetUploads(prefix: String, keeping keys: Set<String>) {
        for entry in journal?.entries ?? [] where ObjectKey.hasPrefix(entry.key, prefix) && !keys.contains(entry.key) {
            journal?.remove(entry.key)
        }
    }

    /// Aborts the uploads in parts under `prefix` that the journal does not know. For the only writer of that prefix; uploads may go on meanwhile. Returns
    /// how many; errors of single ones are left to the bucket's lifecycle rule. Errors: those of listing, for want of a right or of support.
    public func abortLeftovers(prefix: String) async throws(ObjectStoreError) -> Int {
        var count = 0
        // A page has a thousand; what is left after a few is found by the next start.
        for _ in 0..<Self.leftoverPagesMax {
            let found = try await uploads(prefix: prefix)
            let known = Set((journal?.entries ?? []).map(\.uploadID))
            let leftovers = found.filter { !known.contains($0.uploadID) }
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
