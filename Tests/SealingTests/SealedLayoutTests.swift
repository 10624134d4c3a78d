import Testing

@testable import Sealing

@Suite("Sealed layout")
struct SealedLayoutTests {
    /// Every byte by hand: what is where in a sealed object of `size` plain bytes.
    private func model(_ size: Int, chunk: Int) -> (plainAt: [Int], chunkOf: [Int], end: Int) {
        var (plainAt, chunkOf, position) = ([Int](), [Int](), SealedHeader.sizeBytes)
        for byte in 0..<size {
            if byte > 0, byte % chunk == 0 { position += 16 }
            plainAt.append(position)
            chunkOf.append(byte / chunk)
            position += 1
        }
        return (plainAt, chunkOf, size > 0 ? position + 16 : position)
    }

    @Test("ranges are those of a layout made byte by byte", arguments: [0, 1, 6, 7, 8, 13, 14, 15, 29])
    func ranges(_ size: Int) {
        let layout = SealedLayout(plainBytes: size, chunkBytes: 7)
        let (plainAt, chunkOf, end) = model(size, chunk: 7)
        #expect(layout.sealedBytes == end)
        #expect(layout.chunkCount == (chunkOf.last.map { $0 + 1 } ?? 0))
        for lower in 0..<size {
            for upper in lower + 1...size {
                let chunks = layout.chunks(of: lower..<upper)
                #expect(chunks == chunkOf[lower]..<chunkOf[upper - 1] + 1)
                let (plain, sealed) = (layout.plainRange(of: chunks), layout.sealedRange(of: chunks))
                #expect(plain.lowerBound <= lower && plain.upperBound >= upper)
                #expect(sealed.lowerBound == plainAt[plain.lowerBound])
                #expect(sealed.upperBound == plainAt[plain.upperBound - 1] + 1 + 16)
            }
        }
    }

    @Test("of a part of the object, only whole chunks count")
    func torn() {
        let layout = SealedLayout(plainBytes: 20, chunkBytes: 7)
        for count in 0..<layout.sealedBytes {
            let whole = max(0, count - 128) / 23
            #expect(layout.plainBytes(ofFirst: count) == whole * 7, "\(count) bytes")
        }
        #expect(layout.plainBytes(ofFirst: layout.sealedBytes) == 20)
        #expect(layout.plainBytes(ofFirst: layout.sealedBytes + 1) == nil)
    }

    @Test("sizes that nobody of us writes are refused")
    func limits() {
        #expect(SealedLayout(chunkBytes: 0, plainBytes: 1) == nil)
        #expect(SealedLayout(chunkBytes: 1 << 25, plainBytes: 1) == nil)
        #expect(SealedLayout(chunkBytes: 65536, plainBytes: .max) == nil)
        #expect(SealedLayout(chunkBytes: 65536, plainBytes: 1 << 40) != nil)
    }
}
