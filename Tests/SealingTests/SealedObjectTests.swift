import NIOCore
import Testing

@testable import Sealing

func ring(_ ids: String...) -> KeyRing {
    KeyRing(ids.map { KeyRing.Key.random(id: $0)! })!
}

func plain(_ count: Int, seed: UInt8 = 1) -> ByteBuffer {
    ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ Int(seed)) })
}

/// Opens a whole sealed object, as a reader does: header, size, chunks.
func openAll(_ sealed: ByteBuffer, name: String, _ ring: KeyRing) throws(SealingError) -> ByteBuffer {
    let object = try SealedObject(header: sealed, name: name, ring: ring)
    guard sealed.readableBytes == object.layout.sealedBytes else { throw .damaged(part: "the length") }
    let all = 0..<object.layout.chunkCount
    let range = object.layout.sealedRange(of: all)
    guard let bytes = sealed.getSlice(at: sealed.readerIndex + range.lowerBound, length: range.count) else {
        throw .damaged(part: "the length")
    }
    return try object.open(all, from: bytes)
}

/// What opening gives: nil when it opened.
func failure(_ body: () throws(SealingError) -> Void) -> SealingError? {
    do throws(SealingError) {
        try body()
        return nil
    } catch { return error }
}

@Suite("Sealed objects")
struct SealedObjectTests {
    let keys = ring("a", "b")

    @Test("what was sealed opens, in any pieces", arguments: [0, 1, 1023, 1024, 1025, 2048, 5000, 10_240])
    func roundTrip(_ size: Int) throws {
        let body = plain(size)
        for cuts in [[], [size / 3], [1, 1, size / 2, size], [1024, 2048], Array(stride(from: 0, to: size, by: 700))] {
            var pieces: [ByteBuffer] = []
            var from = 0
            for cut in cuts + [size] where cut >= from && cut <= size {
                pieces.append(body.getSlice(at: from, length: cut - from)!)
                from = cut
            }
            let (sealed, object) = SealedObject.seal(pieces, name: "k", ring: keys, chunkBytes: 1024)
            #expect(sealed.readableBytes == object.layout.sealedBytes)
            #expect(try openAll(sealed, name: "k", keys) == body)
            #expect(object.keyID == "a")
        }
    }

    @Test("any range of chunks opens by itself")
    func ranges() throws {
        let body = plain(5000)
        let (sealed, object) = SealedObject.seal([body], name: "k", ring: keys, chunkBytes: 1024)
        for first in 0..<object.layout.chunkCount {
            for last in first + 1...object.layout.chunkCount {
                let (at, part) = (
                    object.layout.sealedRange(of: first..<last), object.layout.plainRange(of: first..<last)
                )
                let opened = try object.open(first..<last, from: sealed.getSlice(at: at.lowerBound, length: at.count)!)
                #expect(opened == body.getSlice(at: part.lowerBound, length: part.count))
            }
        }
    }

    @Test("every flipped bit is found", arguments: [0, 1, 1024, 2500])
    func bitFlips(_ size: Int) throws {
        let (sealed, _) = SealedObject.seal([plain(size)], name: "k", ring: keys, chunkBytes: 1024)
        let bytes = Array(sealed.readableBytesView)
        for bit in 0..<bytes.count * 8 {
            let changed = ByteBuffer(bytes: bytes.flipping(bit))
            let found = failure { () throws(SealingError) in _ = try openAll(changed, name: "k", keys) }
            #expect(found != nil, "bit \(bit)")
        }
    }

    @Test("every truncation and every extension is found, also when the header is made to agree")
    func truncation() throws {
        let (sealed, object) = SealedObject.seal([plain(2500)], name: "k", ring: keys, chunkBytes: 1024)
        let bytes = Array(sealed.readableBytesView)
        for count in 0..<bytes.count {
            let cut = ByteBuffer(bytes: bytes.prefix(count))
            #expect(
                failure { () throws(SealingError) in _ = try openAll(cut, name: "k", keys) } != nil, "\(count) bytes")
        }
        #expect(
            failure { () throws(SealingError) in _ = try openAll(ByteBuffer(bytes: bytes + [0]), name: "k", keys) }
                != nil)
        // A smaller size in the header, with its checksum mended: the envelope binds the size.
        var header = try SealedHeader.decode(sealed)
        header.layout = SealedLayout(plainBytes: 2048, chunkBytes: 1024)
        let forged = ByteBuffer(bytes: header.bytes + bytes[128..<128 + 2 * (1024 + 16)])
        #expect(
            failure { () throws(SealingError) in _ = try openAll(forged, name: "k", keys) }
                == .damaged(part: "the envelope of its key (a)"))
        // And a chunk in the middle does not open as the last one, even with the right data key.
        let two = object.layout.sealedRange(of: 1..<2)
        let middle = sealed.getSlice(at: two.lowerBound, length: two.count)!
        #expect(failure { () throws(SealingError) in _ = try object.open(0..<1, from: middle) } != nil)
    }

    @Test("chunks in another order are found, and so are chunks of another object")
    func reordering() throws {
        let (sealed, object) = SealedObject.seal([plain(4096)], name: "k", ring: keys, chunkBytes: 1024)
        let (other, _) = SealedObject.seal([plain(4096, seed: 2)], name: "k", ring: keys, chunkBytes: 1024)
        let (bytes, foreign) = (Array(sealed.readableBytesView), Array(other.readableBytesView))
        func chunk(_ index: Int, of bytes: [UInt8]) -> [UInt8] {
            Array(bytes[object.layout.sealedRange(of: index..<index + 1)])
        }
        let swapped = Array(bytes[..<128]) + [1, 0, 2, 3].flatMap { chunk($0, of: bytes) }
        let mixed = Array(bytes[..<128]) + chunk(0, of: foreign) + Array(bytes[(128 + 1040)...])
        let withOtherHeader = Array(foreign[..<128]) + Array(bytes[128...])
        for (forged, part) in [(swapped, "chunk 0 of 4"), (mixed, "chunk 0 of 4"), (withOtherHeader, "chunk 0 of 4")] {
            let found = failure { () throws(SealingError) in _ = try openAll(ByteBuffer(bytes: forged), name: "k", keys)
            }
            #expect(found == .damaged(part: part))
        }
    }

    @Test("an object under another one's name does not open")
    func swappedNames() throws {
        let (sealed, _) = SealedObject.seal([plain(100)], name: "sites/A/1", ring: keys)
        let found = failure { () throws(SealingError) in _ = try openAll(sealed, name: "sites/A/2", keys) }
        #expect(found == .damaged(part: "the envelope of its key (a)"))
    }

    @Test("the same bytes under the same name are sealed alike, however they lie in memory")
    func repeatable() {
        let body = plain(5000)
        let (first, _) = SealedObject.seal([body], name: "k", ring: keys, chunkBytes: 1024)
        for cut in [0, 1, 15, 16, 17, 1024, 4999] {
            let pieces = [body.getSlice(at: 0, length: cut)!, body.getSlice(at: cut, length: 5000 - cut)!]
            #expect(SealedObject.seal(pieces, name: "k", ring: keys, chunkBytes: 1024).bytes == first, "cut at \(cut)")
        }
    }

    @Test("any other bit, size, name, chunk size or site key gives another data key and another nonce of the envelope")
    func freshKeys() {
        let body = plain(200)
        var variants: [(pieces: [ByteBuffer], name: String, chunk: Int, ring: KeyRing)] = [
            ([body], "k", 1024, keys), ([body], "l", 1024, keys), ([body], "", 1024, keys), ([body], "k", 2048, keys),
            ([body], "k", 1024, ring("a", "b")), ([], "k", 1024, keys),
            ([ByteBuffer(repeating: 0, count: 1)], "k", 1024, keys),
            ([ByteBuffer(repeating: 0, count: 16)], "k", 1024, keys),
            ([ByteBuffer(repeating: 0, count: 17)], "k", 1024, keys),
        ]
        for bit in 0..<200 * 8 {
            let changed = ByteBuffer(bytes: Array(body.readableBytesView).flipping(bit))
            variants.append(([changed], "k", 1024, keys))
        }
        var (secrets, nonces) = (Set<[UInt8]>(), Set<[UInt8]>())
        for variant in variants {
            let size = variant.pieces.reduce(0) { $0 + $1.readableBytes }
            let secret = ObjectSecret(
                variant.pieces, layout: SealedLayout(plainBytes: size, chunkBytes: variant.chunk), name: variant.name,
                key: variant.ring.first.secret)
            #expect(secrets.insert(secret.dataKey.bytes).inserted)
            #expect(nonces.insert(secret.nonce).inserted)
        }
        #expect(secrets.count == variants.count && nonces.isDisjoint(with: secrets))
    }

    @Test("nothing of the plain bytes is in the sealed ones")
    func hides() {
        let secret = "the quick brown fox jumps over the lazy dog"
        let (sealed, _) = SealedObject.seal([ByteBuffer(string: secret)], name: "k", ring: keys)
        let bytes = Array(sealed.readableBytesView)
        for start in 0...secret.utf8.count - 6 {
            let part = Array(secret.utf8.dropFirst(start).prefix(6))
            #expect(!(0...bytes.count - 6).contains { bytes[$0..<$0 + 6].elementsEqual(part) })
        }
    }

    @Test("a missing key is named; a key of the same name that is another one is not damage of the object alone")
    func missingKey() throws {
        let (sealed, _) = SealedObject.seal([plain(100)], name: "k", ring: keys)
        #expect(
            failure { () throws(SealingError) in _ = try openAll(sealed, name: "k", ring("b")) } == .keyMissing(id: "a")
        )
        #expect(
            failure { () throws(SealingError) in _ = try openAll(sealed, name: "k", ring("a")) }
                == .damaged(part: "the envelope of its key (a)"))
    }

    @Test("after a rotation old objects open, and new ones are sealed with the new key")
    func rotation() throws {
        let (old, _) = SealedObject.seal([plain(100)], name: "k", ring: keys)
        let rotated = try #require(KeyRing([KeyRing.Key.random(id: "c")!] + keys.keys))
        #expect(try openAll(old, name: "k", rotated) == plain(100))
        let (new, object) = SealedObject.seal([plain(100)], name: "k", ring: rotated)
        #expect(object.keyID == "c")
        #expect(failure { () throws(SealingError) in _ = try openAll(new, name: "k", keys) } == .keyMissing(id: "c"))
    }

    @Test("a newer version is refused by name before anything else is believed")
    func newerVersion() {
        let (sealed, _) = SealedObject.seal([plain(100)], name: "k", ring: keys)
        var changed = sealed
        changed.setInteger(UInt16(2), at: 8)
        let found = failure { () throws(SealingError) in _ = try SealedHeader.decode(changed) }
        #expect(found == .newerVersion(found: 2, supported: 1))
    }

    @Test("no header makes the reader trap or reserve what is not there")
    func garbageHeaders() throws {
        let (sealed, _) = SealedObject.seal([plain(100)], name: "k", ring: keys)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var header = sealed.getSlice(at: 0, length: 128)!
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                header.setInteger(
                    UInt8.random(in: .min ... .max, using: &random), at: Int.random(in: 10..<124, using: &random))
            }
            mendChecksum(&header)
            if let decoded = try? SealedHeader.decode(header) {
                #expect(decoded.bytes == Array(header.readableBytesView), "what decodes is written the same way")
            }
        }
    }

    private func mendChecksum(_ header: inout ByteBuffer) {
        let bytes = Array(header.readableBytesView.prefix(124))
        header.setInteger(crc32c(bytes), at: 124)
    }
}

/// Bit by bit, so that the header's checksum is checked by something else than itself.
func crc32c(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in
        (0..<8).reduce(crc ^ UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }
}
