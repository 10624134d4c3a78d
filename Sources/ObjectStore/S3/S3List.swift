import NIOCore
import NIOHTTP1

extension S3Store {
    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        try checkListing(prefix: prefix, startAfter: startAfter, limit: limit)
        var page = ListPage(objects: [], next: nil)
        var token: String?
        // Each turn must bring objects or a new token, and the turns are bounded by the limit plus a few empty pages.
        for _ in 0..<(limit / S3Configuration.listPageMax + 1 + Self.emptyPagesMax) {
            let wanted = min(limit - page.objects.count, S3Configuration.listPageMax)
            let reply = try await listOnce(prefix, startAfter, token, wanted)
            page.objects += reply.objects
            guard reply.isTruncated else {
                page.next = nil
                return page
            }
            page.next = page.objects.last?.key
            if page.objects.count >= limit { return page }
            guard let next = reply.continuationToken, next != token else {
                // Truncated without a way on: the last key is one, if there is any.
                if page.next != nil { return page }
                throw ObjectStoreError(.list, key: prefix, .corrupt("truncated listing without a token"))
            }
            token = next
        }
        if page.next != nil { return page }
        throw ObjectStoreError(.list, key: prefix, .corrupt("more than \(Self.emptyPagesMax) empty pages"))
    }

    private static var emptyPagesMax: Int { 16 }

    private func listOnce(
        _ prefix: String, _ startAfter: String?, _ token: String?, _ wanted: Int
    ) async throws(ObjectStoreError) -> S3ListReply {
        var request = S3Request(
            operation: .list, key: prefix, method: .GET, path: transport.endpoint.path(key: nil))
        request.query = [("list-type", "2"), ("max-keys", String(wanted))]
        if !prefix.isEmpty { request.query.append(("prefix", prefix)) }
        if let token {
            request.query.append(("continuation-token", token))
        } else if let startAfter {
            request.query.append(("start-after", startAfter))
        }
        let reply = try await transport.send(request)
        guard reply.status == 200 else { throw failure(request, reply) }
        do {
            var page = try S3ListReply(reply.body)
            if let stray = page.objects.first(where: { !ObjectKey.hasPrefix($0.key, prefix) }) {
                throw ObjectStoreError(.list, key: prefix, .corrupt("listed \(stray.key)"), status: reply.status)
            }
            page.objects.removeAll { $0.key == startAfter }
            if page.objects.count > wanted {
                page.objects.removeSubrange(wanted...)
                page.isTruncated = true
            }
            return page
        } catch let error as XMLError {
            throw ObjectStoreError(.list, key: prefix, .corrupt("unreadable listing: \(error)"), status: reply.status)
        } catch {
            throw S3Failure.error(.list, key: prefix, thrown: error)
        }
    }
}

/// Refuses what no store can list, for every store alike.
func checkListing(prefix: String, startAfter: String?, limit: Int) throws(ObjectStoreError) {
    try ObjectKey.validate(prefix: prefix)
    guard limit >= 1 else { throw ObjectStoreError(.list, key: prefix, .invalid("limit \(limit)")) }
    guard startAfter?.utf8.count ?? 0 <= ObjectKey.bytesMax else {
        throw ObjectStoreError(.list, key: prefix, .invalid("startAfter of more than \(ObjectKey.bytesMax) bytes"))
    }
}
