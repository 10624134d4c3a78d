import NIOCore
import NIOHTTP1

/// One upload in parts: create, parts a few at a time and each retried by itself, complete; aborted when anything fails for good.
///
/// Create-only: the key is looked at first (sparing the transfer), and the completion carries `If-None-Match: *` where the store
/// honours it there. Where it does not (``StoreCapabilities/conditionalMultipart``), the key is looked at again before completing.
struct S3Multipart {
    let store: S3Store
    let key: String
    let body: ByteBuffer
    let ifAbsent: Bool
    var pace: (any UploadPace)?

    func run() async throws(ObjectStoreError) -> PutResult {
        if ifAbsent, try await store.head(key) != nil { return .alreadyExists }
        return try await runUnseen()
    }

    /// The upload without the first look, so that the completion's condition alone decides.
    func runUnseen() async throws(ObjectStoreError) -> PutResult {
        let uploadID = try await create()
        do {
            let etags = try await uploadParts(uploadID)
            let result = try await complete(uploadID, etags)
            if result == .alreadyExists { await abort(uploadID) }
            return result
        } catch {
            await abort(uploadID)
            throw error
        }
    }

    private func create() async throws(ObjectStoreError) -> String {
        var request = store.request(.put, .POST, key)
        request.query = [("uploads", "")]
        let reply = try await store.transport.send(request)
        guard reply.status == 200 else { throw store.failure(request, reply) }
        guard let root = try? XMLReader.root(of: reply.body), let id = root.text("UploadId"), !id.isEmpty else {
            throw ObjectStoreError(.put, key: key, .corrupt("no upload id"), status: reply.status)
        }
        return id
    }

    private var parts: [ByteBuffer] {
        let leastBytes = (body.readableBytes + S3Configuration.partsMax - 1) / S3Configuration.partsMax
        let size = max(store.configuration.partSizeBytes, leastBytes)
        return stride(from: 0, to: body.readableBytes, by: size).compactMap { start in
            body.getSlice(at: body.readerIndex + start, length: min(size, body.readableBytes - start))
        }
    }

    /// The parts' tags in order. The first part that fails for good ends the others.
    private func uploadParts(_ uploadID: String) async throws(ObjectStoreError) -> [String] {
        let parts = parts
        // A pace is asked by one part at a time.
        let inFlightMax = pace == nil ? max(1, store.configuration.partsInFlightMax) : 1
        let results = await withTaskGroup(of: (Int, Result<String, ObjectStoreError>).self) { group in
            var etags = [String](repeating: "", count: parts.count)
            var begun = 0
            func beginNext() {
                guard begun < parts.count else { return }
                let index = begun
                begun += 1
                group.addTask { (index, await upload(parts[index], number: index + 1, uploadID)) }
            }
            for _ in 0..<inFlightMax { beginNext() }
            for await (index, result) in group {
                switch result {
                case .success(let etag): etags[index] = etag
                case .failure(let error):
                    group.cancelAll()
                    return Result<[String], ObjectStoreError>.failure(error)
                }
                beginNext()
            }
            return .success(etags)
        }
        return try results.get()
    }

    private func upload(_ part: ByteBuffer, number: Int, _ uploadID: String) async -> Result<String, ObjectStoreError> {
        var random = SystemRandomNumberGenerator()
        do throws(ObjectStoreError) {
            let etag = try await withRetry(store.configuration.partRetry, clock: .continuous, using: &random) {
                (_) async throws(ObjectStoreError) -> String in
                try await uploadOnce(part, number: number, uploadID)
            }
            return .success(etag)
        } catch {
            return .failure(error)
        }
    }

    private func uploadOnce(
        _ part: ByteBuffer, number: Int, _ uploadID: String
    ) async throws(ObjectStoreError) -> String {
        var request = store.request(.put, .PUT, key)
        request.query = [("partNumber", String(number)), ("uploadId", uploadID)]
        request.body = part
        request.pace = pace
        let reply = try await store.transport.send(request)
        guard reply.status == 200 else { throw store.failure(request, reply) }
        guard let etag = reply.etag else {
            throw ObjectStoreError(.put, key: key, .corrupt("part \(number) without a tag"), status: reply.status)
        }
        return etag
    }

    private func complete(_ uploadID: String, _ etags: [String]) async throws(ObjectStoreError) -> PutResult {
        let capabilities = store.configuration.capabilities
        let conditional = ifAbsent && capabilities.conditionalCreate && capabilities.conditionalMultipart
        if ifAbsent, !conditional, try await store.head(key) != nil { return .alreadyExists }
        var request = store.request(.put, .POST, key)
        request.query = [("uploadId", uploadID)]
        request.body = S3Document.completeMultipart(etags: etags)
        request.headers = [("content-type", "application/xml")]
        if conditional { request.headers.append(("if-none-match", "*")) }
        // The store may take long to put large parts together.
        request.extraWorkBytes = body.readableBytes
        let reply = try await store.transport.send(request)
        if ifAbsent, reply.status == 412 { return .alreadyExists }
        guard reply.status == 200 else { throw store.failure(request, reply) }
        // S3 may say 200 first and find the error later: the document decides.
        guard let root = try? XMLReader.root(of: reply.body) else {
            throw ObjectStoreError(.put, key: key, .corrupt("unreadable reply to completion"), status: reply.status)
        }
        if root.name == "Error" {
            let fault = S3Fault(root)
            if ifAbsent, fault.code == "PreconditionFailed" { return .alreadyExists }
            throw S3Failure.error(.put, key: key, fault)
        }
        return .created(etag: root.text("ETag"))
    }

    /// Best effort: what stays is for the bucket's lifecycle rule. Runs in a task of its own so that a cancelled caller still frees
    /// the parts; it is awaited, and bounded by the attempt timeout.
    private func abort(_ uploadID: String) async {
        var request = store.request(.put, .DELETE, key)
        request.query = [("uploadId", uploadID)]
        let transport = store.transport
        await Task { [request] in _ = try? await transport.send(request) }.value
    }
}
