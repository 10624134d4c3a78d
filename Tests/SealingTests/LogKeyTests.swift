import Testing

@testable import Sealing

@Suite("Keys of logs")
struct LogKeyTests {
    private func ring(_ id: String = "a", fill: UInt8 = 7) throws -> KeyRing {
        let secret = try #require(SecretKey(bytes: [UInt8](repeating: fill, count: 32)))
        let key = try #require(KeyRing.Key(id: id, secret: secret))
        return try #require(KeyRing([key]))
    }

    private func made(_ ring: KeyRing, lane: String = "critical") -> LogKey {
        LogKey.make(lane: lane, segment: 5, salt: 99, under: ring.first)
    }

    private func read(_ bytes: [UInt8], salt: UInt64 = 99) -> LogKeyRecord? {
        bytes.withUnsafeBytes { LogKeyRecord(reading: $0, salt: salt) }
    }

    @Test("a record opens to the same data key with its site key, in its segment, and nowhere else")
    func opens() throws {
        let ring = try ring()
        let key = made(ring)
        #expect(key.record.bytes.count == LogKeyRecord.sizeBytes)
        let record = try #require(read(key.record.bytes))
        #expect(record == key.record && record.keyID == "a" && record.lane == "critical")
        #expect(try LogKey.open(record, segment: 5, salt: 99, ring: ring).dataKey.isSame(as: key.dataKey))
        #expect(read(key.record.bytes, salt: 98) == nil)
        for (segment, salt) in [(UInt64(6), UInt64(99)), (5, 98)] {
            #expect(throws: SealingError.damaged(part: "the envelope of its key (a)")) {
                try LogKey.open(record, segment: segment, salt: salt, ring: ring)
            }
        }
        #expect(throws: SealingError.keyMissing(id: "a")) {
            try LogKey.open(record, segment: 5, salt: 99, ring: try self.ring("b"))
        }
        #expect(throws: SealingError.damaged(part: "the envelope of its key (a)")) {
            try LogKey.open(record, segment: 5, salt: 99, ring: try self.ring(fill: 8))
        }
    }

    @Test("no two segments have the same data key, and no two records the same envelope nonce")
    func differ() throws {
        let ring = try ring()
        let keys = (0..<100).map { _ in made(ring) }
        #expect(Set(keys.map(\.dataKey.bytes)).count == 100)
        #expect(Set(keys.map { Array($0.record.envelope.bytes.prefix(12)) }).count == 100)
    }

    @Test("any flipped bit of a record is noticed")
    func flips() throws {
        let record = made(try ring()).record
        for bit in 0..<record.bytes.count * 8 {
            var bytes = record.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(read(bytes) == nil, "bit \(bit)")
        }
        #expect(read(Array(record.bytes.dropLast())) == nil)
    }

    @Test("names of every length fit", arguments: [0, 1, 32])
    func names(laneBytes: Int) throws {
        let ring = try ring(String(repeating: "k", count: KeyRing.idBytesMax))
        let lane = String(repeating: "l", count: laneBytes)
        let record = try #require(read(made(ring, lane: lane).record.bytes))
        #expect(record.lane == lane && record.keyID == ring.first.id)
    }

    @Test("a group opens at its own place with what it was bound to, and never otherwise")
    func groups() throws {
        let key = made(try ring())
        let sealer = GroupSealer(key)
        let bound: [UInt8] = Array("bound".utf8)
        let plain = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        var sealed: [Int: (bytes: [UInt8], tag: [UInt8])] = [:]
        for offset in [4096, 8192] {
            var bytes = plain
            var tag = [UInt8](repeating: 0, count: GroupSealer.tagBytes)
            bound.withUnsafeBytes { sealer.begin(at: offset, bound: $0) }
            bytes.withUnsafeMutableBytes { all in
                for part in [0..<333, 333..<333, 333..<1000] {
                    sealer.seal(UnsafeMutableRawBufferPointer(rebasing: all[part]))
                }
            }
            tag.withUnsafeMutableBytes { sealer.finish(tag: $0.baseAddress!) }
            sealed[offset] = (bytes, tag)
        }
        let first = try #require(sealed[4096])
        #expect(first.bytes != plain && first.bytes != sealed[8192]?.bytes)
        let opener = GroupOpener(key)
        func open(_ bytes: [UInt8], _ tag: [UInt8], at offset: Int, _ bound: [UInt8]) -> [UInt8]? {
            var out = [UInt8](repeating: 0, count: bytes.count)
            bound.withUnsafeBytes { opener.begin(at: offset, bound: $0) }
            bytes.withUnsafeBytes { source in
                out.withUnsafeMutableBytes { opener.open(source, into: $0.baseAddress!) }
            }
            return tag.withUnsafeBytes { opener.finish(tag: $0.baseAddress!) } ? out : nil
        }
        #expect(open(first.bytes, first.tag, at: 4096, bound) == plain)
        #expect(open(first.bytes, first.tag, at: 8192, bound) == nil)
        #expect(open(first.bytes, first.tag, at: 4096, Array("other".utf8)) == nil)
        var damaged = first.bytes
        damaged[500] ^= 1
        #expect(open(damaged, first.tag, at: 4096, bound) == nil)
        // What failed leaves nothing behind.
        #expect(open(first.bytes, first.tag, at: 4096, bound) == plain)
    }
}
