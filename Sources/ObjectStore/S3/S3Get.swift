public import NIOCore
import NIOHTTP1

extension S3Store {
    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try ObjectKey.validate(key, operation: .get)
        var request = request(.get, .GET, key)
        // A server that ignores ranges sends the whole object: allowed up to the limit, and cut here.
        request.replyBytesMax = configuration.objectBytesMax
        if let range {
            try checkRange(range, key: key)
            guard range.count <= configuration.objectBytesMax else {
                throw ObjectStoreError(.get, key: key, .invalid("range of \(range.count) bytes"))
            }
            request.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
        }
        let reply = try await transport.send(request)
        guard reply.status == 200 || reply.status == 206 else { throw failure(request, reply) }
        guard let range else { return try whole(reply, key) }
        return try RangeReply.bytes(of: range, in: reply, key: key)
    }

    /// Whether the store answers a range with 206 and just that range.
    func answersRanges(_ key: String) async throws(ObjectStoreError) -> Bool {
        var request = request(.get, .GET, key)
        request.headers = [("range", "bytes=1-2")]
        let reply = try await transport.send(request)
        return reply.status == 206 && reply.body.readableBytes == 2
    }

    private func whole(_ reply: S3Reply, _ key: String) throws(ObjectStoreError) -> ByteBuffer {
        guard reply.status == 200 else {
            throw ObjectStoreError(.get, key: key, .corrupt("a part, unasked"), status: reply.status)
        }
        return reply.body
    }
}

/// Refuses a range that is empty or negative, for every store alike.
func checkRange(_ range: Range<Int>, key: String) throws(ObjectStoreError) {
    guard !range.isEmpty, range.lowerBound >= 0 else {
        throw ObjectStoreError(.get, key: key, .invalid("range \(range)"))
    }
}

/// Takes exactly the asked bytes out of a reply, whatever kind of server answered.
enum RangeReply {
    static func bytes(
        of range: Range<Int>, in reply: S3Reply, key: String
    ) throws(ObjectStoreError) -> ByteBuffer {
        let body = reply.body
        if let said = reply.headers.first(name: "content-range").flatMap(ContentRange.init) {
            // rclone answers 200 and yet a part, so the header decides, not the status.
            guard said.first == range.lowerBound, said.last < range.upperBound else {
                throw corrupt("range \(said.first)-\(said.last) for \(range)", key, reply)
            }
            guard said.last == range.upperBound - 1 else {
                throw ObjectStoreError(.get, key: key, .rangeOutsideObject, status: reply.status)
            }
            guard body.readableBytes == range.count else {
                throw corrupt("\(body.readableBytes) bytes for \(range)", key, reply)
            }
            return body
        }
        if reply.status == 206 {
            guard body.readableBytes == range.count else {
                throw corrupt("\(body.readableBytes) bytes for \(range)", key, reply)
            }
            return body
        }
        guard body.readableBytes >= range.upperBound,
            let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
        else { throw ObjectStoreError(.get, key: key, .rangeOutsideObject, status: reply.status) }
        return slice
    }

    private static func corrupt(_ why: String, _ key: String, _ reply: S3Reply) -> ObjectStoreError {
        ObjectStoreError(.get, key: key, .corrupt(why), status: reply.status)
    }
}

/// `bytes 0-4/100` or `bytes 0-4/*`; both ends included.
struct ContentRange: Equatable {
    var first: Int
    var last: Int

    init?(_ text: String) {
        guard text.hasPrefix("bytes ") else { return nil }
        let range = text.dropFirst(6).split(separator: "/").first?.split(separator: "-") ?? []
        guard range.count == 2, let first = Int(range[0]), let last = Int(range[1]), 0 <= first, first <= last else {
            return nil
        }
        self.first = first
        self.last = last
    }
}
