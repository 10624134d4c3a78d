import NIOCore
import NIOHTTP1

/// One upload in parts: create, parts a few at a time and each retried by itself, complete.
///
/// Create-only: the key is looked at first (sparing the transfer), and the completion carries `If-None-Match: *` where the store
/// honours it there. Where it does not (``StoreCapabilities/conditionalMultipart``), the key is looked at again before completing.
///
/// Without a journal an upload that fails is aborted. With one it is kept: the next attempt, of this process or a later one, sends the parts that
/// are missing. It is aborted when the object is there already, when it is another body's, and by ``S3Store/abortLeftovers(prefix:)``.
struct S3Multipart {
    let store: S3Store
    let key: String
    let body: ByteBuffer
    let ifAbsent: Bool
    var pace: (any UploadPace)?
    var journal: (any MultipartJournal)?
    var partBytes: Int?

    func run() async throws(ObjectStoreError) -> PutResult {
        if ifAbsent, try await store.head(key) != nil {
            if let entry = journal?.entry(key) { await forget(entry.uploadID) }
            return .alreadyExists
        }
        return try await runUnseen()
    }

    /// The upload without the first look, so that the completion's condition alone decides.
    func runUnseen() async throws(ObjectStoreError) -> PutResult {
        let entry = try await begin()
        do {
            let etags = try await uploadParts(entry)
            let result = try await complete(entry.uploadID, etags)
            if result == .alreadyExists { await abort(entry.uploadID) }
            journal?.remove(key)
            return result
        } catch {
            try await failed(error, entry.uploadID)
            throw error
        }
    }

    /// The upload to go on with, or a new one.
    private func begin() async throws(ObjectStoreError) -> MultipartEntry {
        if let known = journal?.entry(key) {
            if known.sizeBytes == body.readableBytes, known.partBytes > 0 { return known }
            await forget(known.uploadID)
        }
        let leastBytes = (body.readableBytes + S3Configuration.partsMax - 1) / S3Configuration.partsMax
        let entry = MultipartEntry(
            key: key, uploadID: try await create(),
            partBytes: max(partBytes ?? store.configuration.partSizeBytes, leastBytes), sizeBytes: body.readableBytes,
            parts: [])
        journal?.save(entry)
        return entry
    }

    private func failed(_ error: ObjectStoreError, _ uploadID: String) async throws(ObjectStoreError) {
        guard journal != nil else { return await abort(uploadID) }
        switch error.kind {
        case .notFound:
            // The store has dropped the upload: begin anew.
            journal?.remove(key)
            throw ObjectStoreError(.put, key: key, .unavailable, status: error.status, detail: error.detail)
        case .invalid: await forget(uploadID)
        default: break
        }
    }

    private func forget(_ uploadID: String) async {
        await abort(uploadID)
        journal?.remove(key)
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

    private func parts(_ size: Int) -> [ByteBuffer] {
        stride(from: 0, to: body.readableBytes, by: size).compactMap { start in
            body.getSlice(at: body.readerIndex + start, length: min(size, body.readableBytes - start))
        }
    }

    /// The parts' tags in order. The first part that fails for good ends the others.
    private func uploadParts(_ entry: MultipartEntry) async throws(ObjectStoreError) -> [String] {
        let parts = parts(entry.partBytes)
        let uploadID = entry.uploadID
        // A pace is asked by one part at a time.
        let inFlightMax = pace == nil ? max(1, store.configuration.partsInFlightMax) : 1
        let sums = journal == nil ? [] : parts.map { Digest.crc32c(ObjectBody($0)) }
        var known = entry
        known.parts.removeAll { part in
            !sums.indices.contains(part.number - 1) || sums[part.number - 1] != part.crc32c
        }
        var etags = [String](repeating: "", count: parts.count)
        for part in known.parts { etags[part.number - 1] = part.etag }
        let missing = etags.indices.filter { etags[$0].isEmpty }
        let results = await withTaskGroup(of: (Int, Result<String, ObjectStoreError>).self) { group in
            var etags = etags
            var known = known
            var rest = missing[...]
            func beginNext() {
                guard let index = rest.popFirst() else { return }
                group.addTask { (index, await upload(parts[index], number: index + 1, uploadID)) }
            }
            for _ in 0..<inFlightMax { beginNext() }
            for await (index, result) in group {
                switch result {
                case .success(let etag):
                    etags[index] = etag
                    guard let journal else { break }
                    known.parts.append(MultipartEntry.Part(number: index + 1, etag: etag, crc32c: sums[index]))
                    journal.save(known)
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
        // A pace and its session belong to one attempt; whoever paces has a retry of its own, which goes on with the part that is missing.
        var policy = store.configuration.partRetry
        if journal != nil { policy.attemptsMax = 1 }
        do throws(ObjectStoreError) {
            let etag = try await withRetry(policy, clock: .continuous, using: &random) {
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
        request.body = ObjectBody(part)
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
        request.body = ObjectBody(S3Document.completeMultipart(etags: etags))
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
