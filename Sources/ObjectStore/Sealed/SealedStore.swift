public import NIOCore
public import Sealing
import Synchronization

/// A store around another one whose objects are sealed there and plain here.
///
/// - Both kinds may be mixed: an object without the mark of a sealed one is handed on as it is, so sealing may be switched on and off at
///   any time.
/// - Sizes and ranges are those of the plain bytes, save one: a listing gives the stored size of an object that this store has not
///   read or written lately.
/// - Two `put` of the same bytes under the same key store the same bytes, so an upload in parts goes on after a restart. What callers
///   compare is what opens, so an object put again after a rotation of the site key meets itself too.
/// - Errors: `.invalid` for an object whose key is missing, whose version is newer, or which was read twice and is not what was
///   sealed; `.corrupt` never for these, because another try will not help.
/// - Cost: a `get` of a range asks for the header first unless it is known; headers of the last ``headersMax`` objects are.
/// - Memory: one sealed copy of an object while it is put, one opened copy of what is got.
public final class SealedStore: ObjectStore {
    /// What is known of an object that is there.
    private enum Known: Sendable {
        case plain
        case sealed(SealedObject)
    }

    private struct Entry: Sendable {
        var known: Known
        /// Nil where only a part was read.
        var storedBytes: Int?
    }

    /// Entries of about 300 bytes.
    public static let headersMax = 16_384

    private let base: any ObjectStore
    private let keys: LiveKeyRing
    private let seals: Bool
    private let headers = Mutex(RecentValues<String, Entry>(countMax: headersMax))

    /// - Parameter seals: false: new objects are plain, and sealed ones still open.
    public init(_ base: any ObjectStore, keys: LiveKeyRing, seals: Bool = true) {
        self.base = base
        self.keys = keys
        self.seals = seals
    }

    // MARK: Put

    public func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent)
    }

    public func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await put(key, body) { body throws(ObjectStoreError) in
            try await base.put(key, body, ifAbsent: ifAbsent)
        }
    }

    /// The pace counts sealed bytes: those that the link carries.
    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body)) { body throws(ObjectStoreError) in
            try await base.put(key, body.joined, ifAbsent: ifAbsent, pace: pace)
        }
    }

    private func put(
        _ key: String, _ body: ObjectBody,
        _ send: (ObjectBody) async throws(ObjectStoreError) -> PutResult
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        forget(key)
        var (stored, known) = (body, Known.plain)
        if seals {
            let (bytes, object) = SealedObject.seal(body.pieces, name: key, ring: keys.ring)
            (stored, known) = (ObjectBody(bytes), .sealed(object))
        } else if SealedHeader.isSealed(start: body.bytes(0..<min(8, body.sizeBytes)) ?? ByteBuffer()) == true {
            // It would be taken for a sealed one.
            throw ObjectStoreError(.put, key: key, .invalid("begins with the mark of a sealed object"))
        }
        let result = try await send(stored)
        if case .created = result { remember(key, known, storedBytes: stored.sizeBytes) }
        return result
    }

    // MARK: Get

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        guard let range else { return try await twice(key) { try await openWhole(key) } }
        try ObjectKey.validate(key, operation: .get)
        try checkRange(range, key: key)
        return try await twice(key) { try await get(key, range) }
    }

    /// What is known may be of an object that another one has replaced, or the bytes changed on their way: looks once more.
    private func twice(
        _ key: String, _ read: () async throws -> ByteBuffer
    ) async throws(ObjectStoreError) -> ByteBuffer {
        do {
            return try await read()
        } catch is SealingError {
            forget(key)
        } catch let error as ObjectStoreError {
            throw error
        } catch {
            throw ObjectStoreError(.get, key: key, .corrupt("\(error)"))
        }
        return try await sealingErrors(key) { try await read() }
    }

    private func openWhole(_ key: String) async throws -> ByteBuffer {
        let bytes = try await base.get(key, range: nil)
        guard SealedHeader.isSealed(start: bytes) == true else {
            remember(key, .plain, storedBytes: bytes.readableBytes)
            return bytes
        }
        let object = try open(header: bytes, key)
        guard object.layout.sealedBytes == bytes.readableBytes else {
            throw SealingError.damaged(part: "the length")
        }
        remember(key, .sealed(object), storedBytes: bytes.readableBytes)
        return try object.open(
            0..<object.layout.chunkCount,
            from: bytes.getSlice(
                at: bytes.readerIndex + SealedHeader.sizeBytes,
                length: bytes.readableBytes - SealedHeader.sizeBytes) ?? ByteBuffer())
    }

    private func get(_ key: String, _ range: Range<Int>) async throws -> ByteBuffer {
        guard let object = try await sealedObject(key) else { return try await base.get(key, range: range) }
        let layout = object.layout
        guard range.upperBound <= layout.plainBytes else {
            throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "object of \(layout.plainBytes) bytes")
        }
        let chunks = layout.chunks(of: range)
        let sealed = try await base.get(key, range: layout.sealedRange(of: chunks))
        let plain = try object.open(chunks, from: sealed)
        let start = range.lowerBound - layout.plainRange(of: chunks).lowerBound
        guard let slice = plain.getSlice(at: plain.readerIndex + start, length: range.count) else {
            throw SealingError.damaged(part: "the length")
        }
        return slice
    }

    /// Nil for a plain object.
    private func sealedObject(_ key: String) async throws -> SealedObject? {
        if let entry = known(key) {
            if case .sealed(let object) = entry.known { return object }
            return nil
        }
        let start: ByteBuffer
        do throws(ObjectStoreError) {
            start = try await base.get(key, range: 0..<SealedHeader.sizeBytes)
        } catch {
            // Shorter than a header: plain, or the beginning of a sealed one, in which nothing can be read.
            guard error.kind == .rangeOutsideObject else { throw error }
            let bytes = try await base.get(key, range: nil)
            guard SealedHeader.isSealed(start: bytes) == false else {
                throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "object of 0 bytes")
            }
            return nil
        }
        guard start.readableBytes == SealedHeader.sizeBytes else { throw SealingError.damaged(part: "the header") }
        guard SealedHeader.isSealed(start: start) == true else {
            remember(key, .plain, storedBytes: nil)
            return nil
        }
        let object = try open(header: start, key)
        remember(key, .sealed(object), storedBytes: nil)
        return object
    }

    private func open(header: ByteBuffer, _ key: String) throws(SealingError) -> SealedObject {
        let id = try SealedHeader.decode(header).keyID
        return try SealedObject(header: header, name: key, ring: keys.ring(with: id))
    }

    private func sealingErrors<Value>(
        _ key: String, _ operation: ObjectStoreOperation = .get, _ body: () async throws -> Value
    ) async throws(ObjectStoreError) -> Value {
        do {
            return try await body()
        } catch let error as ObjectStoreError {
            throw error
        } catch {
            throw ObjectStoreError(operation, key: key, .invalid("\(error)"))
        }
    }

    // MARK: Head, list, delete

    /// Of an object of which the store has kept only the beginning: the plain bytes that can be read.
    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        guard var info = try await base.head(key) else { return nil }
        if let entry = known(key), entry.storedBytes == info.sizeBytes {
            if case .sealed(let object) = entry.known { info.sizeBytes = object.layout.plainBytes }
            return info
        }
        forget(key)
        let storedBytes = info.sizeBytes
        guard storedBytes > 0 else { return info }
        let start = try await base.get(key, range: 0..<min(SealedHeader.sizeBytes, storedBytes))
        if SealedHeader.isSealed(start: start) == false {
            remember(key, .plain, storedBytes: storedBytes)
            return info
        }
        guard storedBytes >= SealedHeader.sizeBytes else {
            info.sizeBytes = 0
            return info
        }
        info.sizeBytes = try await sealingErrors(key, .head) {
            let header = try SealedHeader.decode(start)
            guard let plainBytes = header.layout.plainBytes(ofFirst: storedBytes) else {
                throw SealingError.damaged(part: "the length")
            }
            if plainBytes == header.layout.plainBytes, let object = try? open(header: start, key) {
                remember(key, .sealed(object), storedBytes: storedBytes)
            }
            return plainBytes
        }
        return info
    }

    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        var page = try await base.list(prefix: prefix, startAfter: startAfter, limit: limit)
        headers.withLock { headers in
            for index in page.objects.indices {
                let object = page.objects[index]
                guard let entry = headers.peek(object.key), entry.storedBytes == object.sizeBytes,
                    case .sealed(let sealed) = entry.known
                else { continue }
                page.objects[index].sizeBytes = sealed.layout.plainBytes
            }
        }
        return page
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        for key in keys { forget(key) }
        return try await base.delete(keys)
    }

    // MARK: What is known

    private func known(_ key: String) -> Entry? { headers.withLock { $0.value(for: key) } }
    private func forget(_ key: String) { headers.withLock { $0.remove(key) } }
    private func remember(_ key: String, _ known: Known, storedBytes: Int?) {
        headers.withLock { $0.insert(Entry(known: known, storedBytes: storedBytes), for: key) }
    }
}
