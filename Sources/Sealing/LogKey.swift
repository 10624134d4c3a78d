import CChecksum

/// The data key of one segment of a write-ahead log.
///
/// Random, and made anew whenever a segment is begun: no two segments share one, nor do two uses of one segment file.
public final class LogKey: Sendable {
    /// What stands in the segment about it.
    public let record: LogKeyRecord
    let dataKey: SecretKey

    private init(_ record: LogKeyRecord, _ dataKey: SecretKey) {
        self.record = record
        self.dataKey = dataKey
    }

    /// Wraps `dataKey`, which nothing else may be sealed with. `segment` and `salt` are those of the segment's header.
    public static func make(
        lane: String, segment: UInt64, salt: UInt64, under key: KeyRing.Key, dataKey: SecretKey = .random()
    ) -> LogKey {
        let wrapping = Wrapping(key.secret)
        let bound = LogKeyRecord.bound(keyID: key.id, lane: lane, segment: segment, salt: salt)
        let envelope = Envelope.seal(dataKey, under: wrapping.key, nonce: wrapping.nonce(of: dataKey), bound: bound)
        return LogKey(LogKeyRecord(keyID: key.id, lane: lane, envelope: envelope, salt: salt), dataKey)
    }

    /// The key that a segment's record wraps. Errors: `keyMissing`; `damaged` when the key of that name is another one.
    public static func open(
        _ record: LogKeyRecord, segment: UInt64, salt: UInt64, ring: KeyRing
    ) throws(SealingError) -> LogKey {
        guard let key = ring.secret(record.keyID) else { throw .keyMissing(id: record.keyID) }
        let bound = LogKeyRecord.bound(keyID: record.keyID, lane: record.lane, segment: segment, salt: salt)
        guard let dataKey = record.envelope.open(under: Wrapping(key).key, bound: bound) else {
            throw .damaged(part: "the envelope of its key (\(record.keyID))")
        }
        return LogKey(record, dataKey)
    }

    /// A site key has keys of its own for logs, so that envelopes of logs and of objects never meet under one.
    private struct Wrapping {
        let key: SecretKey
        private let nonces: SecretKey

        init(_ site: SecretKey) {
            key = site.derived("cairn log segment 1")
            nonces = site.derived("cairn log segment nonce 1")
        }

        /// As good as random, and another one for every data key.
        func nonce(of dataKey: SecretKey) -> [UInt8] {
            Array(nonces.derived(dataKey.bytes).bytes.prefix(GCMCipher.nonceBytes))
        }
    }
}

/// A wrapped data key as it stands in a segment's header and once more in each of its groups. Not secret. Layout in
/// `WriteAheadLog/README.md`; little-endian as all of a segment.
public struct LogKeyRecord: Sendable, Equatable {
    public static let sizeBytes = 144
    public static let laneBytesMax = 32
    private static let algorithm: UInt8 = 1
    private static let idAt = 4
    private static let laneAt = idAt + KeyRing.idBytesMax
    private static let envelopeAt = laneAt + laneBytesMax
    private static let checksumAt = sizeBytes - 4

    /// Of the site key that opens it.
    public let keyID: String
    /// The lane it was made for.
    public let lane: String
    let envelope: Envelope
    public let bytes: [UInt8]

    /// A lane of more than ``laneBytesMax`` bytes is a programmer's error.
    init(keyID: String, lane: String, envelope: Envelope, salt: UInt64) {
        self.keyID = keyID
        self.lane = lane
        self.envelope = envelope
        var bytes = Self.names(keyID: keyID, lane: lane) + envelope.bytes
        bytes += [UInt8](repeating: 0, count: Self.checksumAt - bytes.count)
        let checksum = Self.checksum(bytes, salt: salt)
        withUnsafeBytes(of: checksum.littleEndian) { bytes.append(contentsOf: $0) }
        self.bytes = bytes
    }

    /// Nil when they are no record of a segment with this salt, or damaged.
    public init?(reading source: UnsafeRawBufferPointer, salt: UInt64) {
        guard source.count >= Self.sizeBytes else { return nil }
        let bytes = Array(source.prefix(Self.sizeBytes))
        let stored = bytes[Self.checksumAt...].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let (idBytes, laneBytes) = (Int(bytes[1]), Int(bytes[2]))
        guard stored == Self.checksum(Array(bytes.prefix(Self.checksumAt)), salt: salt), bytes[0] == Self.algorithm,
            (1...KeyRing.idBytesMax).contains(idBytes), laneBytes <= Self.laneBytesMax,
            let id = String(validating: bytes[Self.idAt..<Self.idAt + idBytes], as: UTF8.self), KeyRing.isID(id),
            let lane = String(validating: bytes[Self.laneAt..<Self.laneAt + laneBytes], as: UTF8.self),
            let envelope = Envelope(bytes: bytes[Self.envelopeAt..<Self.envelopeAt + Envelope.sizeBytes])
        else { return nil }
        keyID = id
        self.lane = lane
        self.envelope = envelope
        self.bytes = bytes
    }

    /// What the envelope binds: names, and the segment, so that no record opens in another one.
    static func bound(keyID: String, lane: String, segment: UInt64, salt: UInt64) -> [UInt8] {
        var bytes = names(keyID: keyID, lane: lane)
        withUnsafeBytes(of: segment.littleEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: salt.littleEndian) { bytes.append(contentsOf: $0) }
        return bytes
    }

    private static func names(keyID: String, lane: String) -> [UInt8] {
        precondition(lane.utf8.count <= laneBytesMax, "lane name of \(lane.utf8.count) bytes")
        var bytes = [algorithm, UInt8(keyID.utf8.count), UInt8(lane.utf8.count), 0]
        bytes.reserveCapacity(sizeBytes)
        bytes += Array(keyID.utf8)
        bytes += [UInt8](repeating: 0, count: laneAt - bytes.count)
        bytes += Array(lane.utf8)
        bytes += [UInt8](repeating: 0, count: envelopeAt - bytes.count)
        return bytes
    }

    private static func checksum(_ bytes: [UInt8], salt: UInt64) -> UInt32 {
        cairn_crc32c(UInt32(truncatingIfNeeded: salt), bytes, bytes.count)
    }
}
