import NIOCore

/// The `<Error>` document: code, message and, in a batch delete, the key.
struct S3Fault: Equatable {
    var code: String
    var message: String
    var key: String?

    init(code: String, message: String = "", key: String? = nil) {
        self.code = code
        self.message = message
        self.key = key
    }

    init(_ element: XMLElement) {
        code = element.text("Code") ?? ""
        message = element.text("Message") ?? ""
        key = element.text("Key")
    }

    /// nil when `reply` is not such a document (a proxy's HTML, an empty body).
    static func read(_ reply: ByteBuffer) -> S3Fault? {
        guard reply.readableBytes > 0, let root = try? XMLReader.root(of: reply) else { return nil }
        return root.name == "Error" ? S3Fault(root) : nil
    }
}

/// `<ListBucketResult>` of ListObjectsV2.
struct S3ListReply: Equatable {
    var objects: [ListedObject] = []
    /// Set when there is more.
    var continuationToken: String?
    var isTruncated = false

    init(_ reply: ByteBuffer) throws(XMLError) {
        let root = try XMLReader.root(of: reply)
        guard root.name == "ListBucketResult" else { throw .malformed("not a listing: \(root.name)", offsetBytes: 0) }
        isTruncated = root.text("IsTruncated") == "true"
        continuationToken = root.text("NextContinuationToken").flatMap { $0.isEmpty ? nil : $0 }
        for item in root.children("Contents") {
            guard let key = item.text("Key"), let size = item.text("Size").flatMap(Int.init), size >= 0 else {
                throw .malformed("listed object without key or size", offsetBytes: 0)
            }
            let modified = item.text("LastModified").flatMap(TimeText.parseISO8601)
            objects.append(ListedObject(key: key, sizeBytes: size, lastModifiedMs: modified))
        }
    }
}

/// `<DeleteResult>` in quiet mode: what failed.
struct S3DeleteReply: Equatable {
    var faults: [S3Fault] = []

    init(_ reply: ByteBuffer) throws(XMLError) {
        // Some stores (Baidu BOS) answer success with nothing at all.
        guard reply.readableBytes > 0 else { return }
        let root = try XMLReader.root(of: reply)
        guard root.name == "DeleteResult" else { throw .malformed("not a delete result: \(root.name)", offsetBytes: 0) }
        faults = root.children("Error").map(S3Fault.init)
    }
}

/// The bodies that we send.
enum S3Document {
    static func delete(_ keys: some Sequence<String>) -> ByteBuffer {
        var text = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"
        for key in keys { text += "<Object><Key>\(escaped(key))</Key></Object>" }
        return ByteBuffer(string: text + "</Delete>")
    }

    static func completeMultipart(etags: [String]) -> ByteBuffer {
        var text = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        for (index, etag) in etags.enumerated() {
            text += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(escaped(etag))</ETag></Part>"
        }
        return ByteBuffer(string: text + "</CompleteMultipartUpload>")
    }

    private static func escaped(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
