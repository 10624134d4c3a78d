import CChecksum
public import NIOCore

/// The first 128 bytes of a sealed object; `README.md` has the table. Not secret, and believed only when it opens.
public struct SealedHeader: Sendable, Equatable {
    public static let sizeBytes = 128
    static let magic: [UInt8] = Array("CAIRNSEA".utf8)
    static let version: UInt16 = 1
    static let algorithm: UInt8 = 1
    /// Of the bytes that the envelope binds: all before it.
    private static let boundBytes = 64
    private static let checksumAt = 124

    public var keyID: String
    public var layout: SealedLayout
    var envelope: Envelope

    /// Whether an object that begins with `start` is sealed; nil when it is too short to tell: the beginning of a sealed one, or
    /// one with fewer bytes than any of ours.
    ///
    /// One or two wrong bits in the mark do not make a plain object of it, but one that does not decode. The mark of
    /// `SharedObject` is nine bits away.
    public static func isSealed(start: ByteBuffer) -> Bool? {
        let known = start.readableBytesView.prefix(magic.count)
        let wrongBits = zip(known, magic).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
        guard known.count == magic.count else { return wrongBits == 0 ? nil : false }
        return wrongBits <= 2
    }

    /// Makes the header of a new object and the data key for its chunks.
    static func make(
        _ pieces: [ByteBuffer], layout: SealedLayout, name: String, ring: KeyRing
    ) -> (header: SealedHeader, dataKey: SecretKey) {
        let key = ring.first
        let secret = ObjectSecret(pieces, layout: layout, name: name, key: key.secret)
        let bound = bound(prefix(keyID: key.id, layout: layout), name: name)
        let envelope = Envelope.seal(secret.dataKey, under: key.secret, nonce: secret.nonce, bound: bound)
        return (SealedHeader(keyID: key.id, layout: layout, envelope: envelope), secret.dataKey)
    }

    /// The data key. `name` is the one of the object's making, so that no object can take the place of another.
    func open(name: String, ring: KeyRing) throws(SealingError) -> SecretKey {
        guard let key = ring.secret(keyID) else { throw .keyMissing(id: keyID) }
        let bound = Self.bound(Self.prefix(keyID: keyID, layout: layout), name: name)
        guard let dataKey = envelope.open(under: key, bound: bound) else {
            throw .damaged(part: "the envelope of its key (\(keyID))")
        }
        return dataKey
    }

    // MARK: Bytes

    var bytes: [UInt8] {
        var bytes = Self.prefix(keyID: keyID, layout: layout) + envelope.bytes
        Self.append(cairn_crc32c(0, bytes, bytes.count), to: &bytes)
        return bytes
    }

    /// Errors: `newerVersion` before anything else is believed, `damaged`.
    public static func decode(_ start: ByteBuffer) throws(SealingError) -> SealedHeader {
        var buffer = start
        guard let bytes = buffer.readBytes(length: sizeBytes), bytes.starts(with: magic) else {
            throw .damaged(part: "the header")
        }
        let version = UInt16(bytes[8]) << 8 | UInt16(bytes[9])
        guard version <= Self.version else { throw .newerVersion(found: version, supported: Self.version) }
        let stored = number(bytes[checksumAt..<sizeBytes])
        guard UInt64(cairn_crc32c(0, bytes, checksumAt)) == stored else { throw .damaged(part: "the header") }
        let idBytes = Int(bytes[11])
        guard version == Self.version, bytes[10] == algorithm, (1...KeyRing.idBytesMax).contains(idBytes),
            let id = String(validating: bytes[24..<24 + idBytes], as: UTF8.self), KeyRing.isID(id),
            bytes[(24 + idBytes)..<boundBytes].allSatisfy({ $0 == 0 }),
            let layout = SealedLayout(chunkBytes: number(bytes[12..<16]), plainBytes: number(bytes[16..<24])),
            let envelope = Envelope(bytes: bytes[boundBytes..<checksumAt])
        else { throw .damaged(part: "the header") }
        return SealedHeader(keyID: id, layout: layout, envelope: envelope)
    }

    private static func prefix(keyID: String, layout: SealedLayout) -> [UInt8] {
        var bytes = magic
        bytes.reserveCapacity(sizeBytes)
        append(version, to: &bytes)
        bytes += [algorithm, UInt8(keyID.utf8.count)]
        append(UInt32(layout.chunkBytes), to: &bytes)
        append(UInt64(layout.plainBytes), to: &bytes)
        bytes += Array(keyID.utf8)
        bytes += [UInt8](repeating: 0, count: boundBytes - bytes.count)
        return bytes
    }

    private static func bound(_ prefix: [UInt8], name: String) -> [UInt8] { prefix + Array(name.utf8) }

    private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
