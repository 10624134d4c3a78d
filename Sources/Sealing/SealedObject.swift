public import NIOCore

/// One object whose key is at hand: seals it once, opens its chunks in any order, any number of times.
public struct SealedObject: Sendable {
    public let keyID: String
    public let layout: SealedLayout
    private let dataKey: SecretKey

    /// From the first ``SealedHeader/sizeBytes`` of the sealed object.
    public init(header start: ByteBuffer, name: String, ring: KeyRing) throws(SealingError) {
        let header = try SealedHeader.decode(start)
        dataKey = try header.open(name: name, ring: ring)
        keyID = header.keyID
        layout = header.layout
    }

    private init(keyID: String, layout: SealedLayout, dataKey: SecretKey) {
        self.keyID = keyID
        self.layout = layout
        self.dataKey = dataKey
    }

    /// Seals the bytes of `pieces`, one after the other, with a key of their own. The same bytes under the same name
    /// give the same sealed bytes, while the first key of the ring is the same.
    ///
    /// Other bytes have another data key, and no chunk's number comes twice in an object: so no nonce serves two messages.
    public static func seal(
        _ pieces: [ByteBuffer], name: String, ring: KeyRing, chunkBytes: Int = SealedLayout.chunkBytesDefault
    ) -> (bytes: ByteBuffer, object: SealedObject) {
        let layout = SealedLayout(plainBytes: pieces.reduce(0) { $0 + $1.readableBytes }, chunkBytes: chunkBytes)
        let (header, dataKey) = SealedHeader.make(pieces, layout: layout, name: name, ring: ring)
        var sealed = ByteBufferAllocator().buffer(capacity: layout.sealedBytes)
        sealed.writeBytes(header.bytes)
        sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: layout.sealedBytes - header.bytes.count) { out in
            guard let base = out.baseAddress else { return 0 }
            var writer = ChunkWriter(layout: layout, cipher: GCMCipher(dataKey, .seal), output: base)
            for piece in pieces { piece.withUnsafeReadableBytes { writer.write($0) } }
            return writer.written
        }
        let object = SealedObject(keyID: header.keyID, layout: layout, dataKey: dataKey)
        precondition(sealed.readableBytes == layout.sealedBytes, "\(sealed.readableBytes) of \(layout.sealedBytes)")
        return (sealed, object)
    }

    /// The plain bytes of `chunks`, from exactly the bytes of their ``SealedLayout/sealedRange(of:)``.
    public func open(_ chunks: Range<Int>, from sealed: ByteBuffer) throws(SealingError) -> ByteBuffer {
        guard chunks.lowerBound >= 0, chunks.upperBound <= layout.chunkCount,
            sealed.readableBytes == layout.sealedRange(of: chunks).count
        else { throw .damaged(part: "the length") }
        let plainBytes = layout.plainRange(of: chunks).count
        var plain = ByteBufferAllocator().buffer(capacity: plainBytes)
        var damaged: Int?
        plain.writeWithUnsafeMutableBytes(minimumWritableBytes: plainBytes) { out in
            sealed.withUnsafeReadableBytes { bytes in
                damaged = openAll(chunks, from: bytes, into: out)
                return damaged == nil ? plainBytes : 0
            }
        }
        if let damaged { throw .damaged(part: "chunk \(damaged) of \(layout.chunkCount)") }
        return plain
    }

    /// The first chunk that is not what was sealed, or nil when all are.
    private func openAll(
        _ chunks: Range<Int>, from sealed: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let cipher = GCMCipher(dataKey, .open)
        var (from, to) = (0, 0)
        for chunk in chunks {
            let size = layout.plainRange(of: chunk..<chunk + 1).count
            guard let input = sealed.baseAddress, let output = out.baseAddress else { return chunk }
            cipher.begin(nonce: GCMNonce(chunk: chunk, isLast: chunk == layout.chunkCount - 1))
            cipher.update(UnsafeRawBufferPointer(start: input + from, count: size), into: output + to)
            guard cipher.finishOpening(tag: input + from + size) else { return chunk }
            from += size + SealedLayout.tagBytes
            to += size
        }
        return nil
    }
}

/// Seals bytes as they come and closes each chunk where it ends.
private struct ChunkWriter: ~Copyable {
    let layout: SealedLayout
    let cipher: GCMCipher
    let output: UnsafeMutableRawPointer
    private(set) var written = 0
    private var chunk = 0
    /// Of the current chunk; it is open while this is above 0.
    private var chunkFill = 0

    init(layout: SealedLayout, cipher: consuming GCMCipher, output: UnsafeMutableRawPointer) {
        self.layout = layout
        self.cipher = cipher
        self.output = output
    }

    mutating func write(_ piece: UnsafeRawBufferPointer) {
        var rest = piece
        while !rest.isEmpty {
            if chunkFill == 0 {
                cipher.begin(nonce: GCMNonce(chunk: chunk, isLast: chunk == layout.chunkCount - 1))
            }
            let chunkBytes = layout.plainRange(of: chunk..<chunk + 1).count
            let part = UnsafeRawBufferPointer(rebasing: rest.prefix(chunkBytes - chunkFill))
            cipher.update(part, into: output + written)
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
            written += part.count
            chunkFill += part.count
            if chunkFill == chunkBytes { close() }
        }
    }

    private mutating func close() {
        cipher.finishSealing(tag: output + written)
        written += SealedLayout.tagBytes
        chunkFill = 0
        chunk += 1
    }
}
