import SiteAuthority
import Testing

@testable import Appliance

@Suite("Block maps")
struct BlockMapTests {
    /// As `bmaptool create` writes it, with its comments.
    static func text(
        version: String = "2.0", ranges: String? = nil, imageBytes: Int = 41_943_040, mapped: Int = 10,
        kind: String = "sha256"
    ) -> [UInt8] {
        let digest = String(repeating: "ab", count: 32)
        let found =
            ranges ?? "<Range chksum=\"\(digest)\"> 0-4 </Range>\n<Range chksum=\"\(digest)\"> 10235-10239 </Range>"
        let text = """
            <?xml version="1.0" ?>
            <!-- This file contains the block map for an image file, <Range> and all. -->

            <bmap version="\(version)">
                <!-- Image size in bytes: 40.0 MiB -->
                <ImageSize> \(imageBytes) </ImageSize>
                <BlockSize> 4096 </BlockSize>
                <BlocksCount> 10240 </BlocksCount>
                <MappedBlocksCount> \(mapped)    </MappedBlocksCount>
                <ChecksumType> \(kind) </ChecksumType>
                <BmapFileChecksum> \(String(repeating: "0", count: 64)) </BmapFileChecksum>
                <BlockMap>
                    \(found)
                </BlockMap>
            </bmap>

            """
        return signed(Array(text.utf8))
    }

    private static func signed(_ bytes: [UInt8]) -> [UInt8] {
        let digest = Array(MessageCode.hexadecimal(bytes.withUnsafeBytes(MessageCode.sha256)).utf8)
        let zeros = Array(repeating: UInt8(ascii: "0"), count: 64)
        guard let start = bytes.firstRange(of: zeros)?.lowerBound else { return bytes }
        return Array(bytes[..<start]) + digest + Array(bytes[(start + 64)...])
    }

    @Test("a map as bmaptool writes it is read")
    func reads() throws {
        let map = try BlockMap(Self.text())
        #expect(map.imageBytes == 41_943_040 && map.blockBytes == 4096)
        #expect(map.runs.map(\.blocks) == [0...4, 10_235...10_239])
        #expect(map.runs.map(\.bytes) == [0..<20_480, 41_922_560..<41_943_040])
        #expect(map.mappedBytes == 40_960)
        #expect(map.runs[0].sha256 == [UInt8](repeating: 0xAB, count: 32))
    }

    @Test("the last block may be a part of one, and a range a single block")
    func partial() throws {
        let digest = String(repeating: "cd", count: 32)
        let map = try BlockMap(
            Self.text(
                ranges: "<Range chksum=\"\(digest)\">10239</Range>", imageBytes: 41_943_040 - 100, mapped: 1))
        #expect(map.runs.map(\.bytes) == [41_938_944..<41_942_940])
    }

    @Test("every cut and every flipped byte is an error, never a trap")
    func damaged() {
        let whole = Self.text()
        for end in 0..<(whole.count - 1) {
            #expect(throws: BlockMap.Flaw.self) { try BlockMap(Array(whole[..<end])) }
        }
        for index in whole.indices {
            var bytes = whole
            bytes[index] ^= 0x01
            #expect(throws: BlockMap.Flaw.self, "byte \(index)") { try BlockMap(bytes) }
        }
    }

    @Test(
        "maps that contradict themselves are refused, though their checksum fits",
        arguments: [
            "0-10240", "5-4", "-1-3", "a-b", "0-1-2", "", "9223372036854775807-9223372036854775807",
        ])
    func contradictions(range: String) {
        let digest = String(repeating: "ab", count: 32)
        #expect(throws: BlockMap.Flaw.self) {
            try BlockMap(Self.text(ranges: "<Range chksum=\"\(digest)\">\(range)</Range>", mapped: 10))
        }
    }

    @Test("unknown versions and checksums, overlaps, wrong counts and ranges without checksums are refused")
    func refused() {
        let digest = String(repeating: "ab", count: 32)
        let overlap = "<Range chksum=\"\(digest)\">0-4</Range><Range chksum=\"\(digest)\">4-8</Range>"
        for text in [
            Self.text(version: "3.0"), Self.text(kind: "sha1"), Self.text(mapped: 11),
            Self.text(ranges: overlap), Self.text(ranges: "<Range>0-9</Range>"),
            Self.text(ranges: "<Range chksum=\"abcd\">0-9</Range>"), Self.text(imageBytes: 41_943_041),
            Self.text(imageBytes: 0),
        ] {
            #expect(throws: BlockMap.Flaw.self) { try BlockMap(text) }
        }
    }
}
