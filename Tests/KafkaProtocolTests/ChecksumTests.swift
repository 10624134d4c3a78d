import CChecksum
import Testing

@Suite("Checksums")
struct ChecksumTests {
    @Test("CRC-32C gives the published values")
    func published() {
        // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
        #expect(cairn_crc32c(0, Array("123456789".utf8), 9) == 0xe306_9283)
        #expect(cairn_crc32c(0, [UInt8](repeating: 0, count: 32), 32) == 0x8a91_36aa)
        #expect(cairn_crc32c(0, [UInt8](repeating: 0xff, count: 32), 32) == 0x62a8_ab43)
        #expect(cairn_crc32c(0, [UInt8](0..<32), 32) == 0x46dd_794e)
        #expect(cairn_crc32c(0, nil, 0) == 0)
    }

    @Test("the CPU's instructions, the tables and the copying form agree at every length and alignment")
    func agreement() {
        var random = SeededRandom(seed: 5)
        let data = (0..<60_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let lengths = Array(0...1200) + stride(from: 1201, to: 40_000, by: 613)
        for length in lengths {
            let offset = length % 17
            data.withUnsafeBytes { bytes in
                let from = bytes.baseAddress! + offset
                let seed = UInt32(truncatingIfNeeded: random.next())
                let expected = cairn_crc32c_table(seed, from, length)
                #expect(cairn_crc32c(seed, from, length) == expected, "length \(length)")
                var copy = [UInt8](repeating: 0xa5, count: length + 32)
                #expect(cairn_crc32c_copy(seed, &copy, from, length) == expected, "length \(length)")
                #expect(copy.prefix(length).elementsEqual(bytes[offset..<(offset + length)]))
                #expect(copy.suffix(32).allSatisfy { $0 == 0xa5 }, "wrote past \(length)")
            }
        }
    }

    @Test("a checksum can be continued")
    func continued() {
        let text = Array("a site's data, in two pieces".utf8)
        let first = cairn_crc32c(0, text, 11)
        #expect(cairn_crc32c(first, Array(text[11...]), text.count - 11) == cairn_crc32c(0, text, text.count))
    }

    @Test("the checksum of two stretches is joined from those of each, at every length")
    func joined() {
        var random = SeededRandom(seed: 9)
        let data = (0..<70_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let lengths = Array(0...70) + [127, 128, 4095, 4096, 4097, 65_535, 65_536, 69_000]
        for length in lengths {
            data.withUnsafeBytes { bytes in
                let whole = cairn_crc32c(7, bytes.baseAddress, 900 + length)
                let first = cairn_crc32c(7, bytes.baseAddress, 900)
                let second = cairn_crc32c(0, bytes.baseAddress! + 900, length)
                #expect(cairn_crc32c_join(first, second, length) == whole, "length \(length)")
            }
        }
        // Zeros too far away to be in any memory: x^(8n) has a period, so that two such moves agree.
        #expect(cairn_crc32c_join(1, 0, 1 << 62) == cairn_crc32c_join(cairn_crc32c_join(1, 0, 1 << 61), 0, 1 << 61))
    }

    @Test("CRC-24Q closes an RTCM 3 frame to zero")
    func rtcm() {
        // A message 1005 with its checksum, as the RTCM 10403 standard prints it.
        let frame: [UInt8] = [
            0xd3, 0x00, 0x13, 0x3e, 0xd7, 0xd3, 0x02, 0x02, 0x98, 0x0e, 0xde, 0xef, 0x34, 0xb4, 0xbd, 0x62, 0xac, 0x09,
            0x41, 0x98, 0x6f, 0x33, 0x36, 0x0b, 0x98,
        ]
        #expect(cairn_crc24q(frame, frame.count - 3) == 0x36_0b98)
        #expect(cairn_crc24q(frame, frame.count) == 0)
        #expect(cairn_crc24q(nil, 0) == 0)
    }
}
