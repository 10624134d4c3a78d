import Testing

@testable import Sealing

/// Bytes of hexadecimal digits.
func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

@Suite("AES-256-GCM")
struct GCMCipherTests {
    /// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test cases 13 to 16: the vectors NIST took over.
    struct Vector: Sendable, CustomTestStringConvertible {
        var name: String
        var key: String
        var nonce: String
        var plain = ""
        var bound = ""
        var cipher = ""
        var tag: String
        var testDescription: String { name }
    }

    static let zeroKey = String(repeating: "0", count: 64)
    static let key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
    static let plain =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
    static let cipher =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"

    static let vectors = [
        Vector(
            name: "13", key: zeroKey, nonce: "000000000000000000000000", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
        Vector(
            name: "14", key: zeroKey, nonce: "000000000000000000000000", plain: "00000000000000000000000000000000",
            cipher: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        Vector(
            name: "15", key: key, nonce: "cafebabefacedbaddecaf888", plain: plain, cipher: cipher,
            tag: "b094dac5d93471bdec1a502270e3cc6c"),
        Vector(
            name: "16", key: key, nonce: "cafebabefacedbaddecaf888", plain: String(plain.dropLast(8)),
            bound: "feedfacedeadbeeffeedfacedeadbeefabaddad2", cipher: String(cipher.dropLast(8)),
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
    ]

    @Test("gives the published cipher text and tag, also from parts and in place", arguments: vectors)
    func seals(_ vector: Vector) throws {
        let secret = try #require(SecretKey(bytes: hex(vector.key)))
        let plain = hex(vector.plain)
        for cut in Set([0, min(1, plain.count), plain.count / 2, plain.count]) {
            var bytes = plain
            var tag = [UInt8](repeating: 0, count: 16)
            let cipher = GCMCipher(secret, .seal)
            cipher.begin(nonce: GCMNonce(hex(vector.nonce)), bound: hex(vector.bound))
            bytes.withUnsafeMutableBytes { all in
                for part in [all[..<cut], all[cut...]] where !part.isEmpty {
                    let part = UnsafeMutableRawBufferPointer(rebasing: part)
                    cipher.update(UnsafeRawBufferPointer(part), into: part.baseAddress!)
                }
            }
            tag.withUnsafeMutableBytes { cipher.finishSealing(tag: $0.baseAddress!) }
            #expect(bytes == hex(vector.cipher), "cut at \(cut)")
            #expect(tag == hex(vector.tag), "cut at \(cut)")
        }
    }

    @Test("opens what is right, and nothing else", arguments: vectors)
    func opens(_ vector: Vector) throws {
        let secret = try #require(SecretKey(bytes: hex(vector.key)))
        func opens(_ bytes: [UInt8], tag: [UInt8], nonce: [UInt8], bound: [UInt8]) -> Bool {
            let cipher = GCMCipher(secret, .open)
            cipher.begin(nonce: GCMNonce(nonce), bound: bound)
            var out = [UInt8](repeating: 0, count: bytes.count)
            out.withUnsafeMutableBytes { out in
                bytes.withUnsafeBytes { if let base = out.baseAddress { cipher.update($0, into: base) } }
            }
            let isRight = tag.withUnsafeBytes { cipher.finishOpening(tag: $0.baseAddress!) }
            return isRight && out == hex(vector.plain)
        }
        let (bytes, tag, nonce, bound) = (hex(vector.cipher), hex(vector.tag), hex(vector.nonce), hex(vector.bound))
        #expect(opens(bytes, tag: tag, nonce: nonce, bound: bound))
        for bit in 0..<128 { #expect(!opens(bytes, tag: tag.flipping(bit), nonce: nonce, bound: bound)) }
        for bit in 0..<96 { #expect(!opens(bytes, tag: tag, nonce: nonce.flipping(bit), bound: bound)) }
        for bit in 0..<bytes.count * 8 {
            #expect(!opens(bytes.flipping(bit), tag: tag, nonce: nonce, bound: bound))
        }
        for bit in 0..<bound.count * 8 {
            #expect(!opens(bytes, tag: tag, nonce: nonce, bound: bound.flipping(bit)))
        }
        #expect(!opens(bytes, tag: tag, nonce: nonce, bound: bound + [0]))
    }

    @Test("nonces of chunks differ in number and in being the last")
    func nonces() {
        var seen: Set<[UInt8]> = []
        for chunk in [0, 1, 255, 256, 65_536, 1 << 33, (1 << 33) + 1] {
            for isLast in [false, true] {
                let nonce = GCMNonce(chunk: chunk, isLast: isLast).withBytes { Array($0) }
                #expect(nonce.count == 12)
                #expect(seen.insert(nonce).inserted)
            }
        }
        let known = GCMNonce(chunk: 0x1_0203_0405, isLast: true).withBytes { Array($0) }
        #expect(known == [1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
    }
}

extension [UInt8] {
    func flipping(_ bit: Int) -> [UInt8] {
        var bytes = self
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        return bytes
    }
}
