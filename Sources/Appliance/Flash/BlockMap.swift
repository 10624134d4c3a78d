import SiteAuthority

/// Which blocks of an image hold data, and the SHA-256 of each run of them: a bmap file, version 2.
/// The file's own checksum covers all of it, with the 64 digits of that checksum taken as zeros.
///
/// Any bytes give a map or a ``Flaw``. Source: bmaptool(1), and the comments in the files that `bmaptool create` writes.
struct BlockMap: Equatable {
    struct Flaw: Error, Equatable, CustomStringConvertible {
        var description: String
    }

    struct Run: Equatable {
        /// First and last block, as the file names them.
        var blocks: ClosedRange<Int>
        var bytes: Range<Int>
        var sha256: [UInt8]
    }

    var imageBytes: Int
    var blockBytes: Int
    /// In order, without overlap, inside the image.
    var runs: [Run]

    var mappedBytes: Int { runs.reduce(0) { $0 + $1.bytes.count } }

    static let fileBytesMax = 64 << 20
    private static let runsMax = 1 << 20
    private static let imageBytesMax = 1 << 50

    init(_ file: [UInt8]) throws(Flaw) {
        var reader = BlockMapReader(file)
        let document = try reader.document()
        guard document.version.hasPrefix("2.") else {
            throw Flaw(description: "version \(document.version): version 2 is known here")
        }
        guard document.text("ChecksumType") == "sha256" else {
            throw Flaw(description: "checksums are of type \(document.text("ChecksumType") ?? "-"), not sha256")
        }
        try Self.check(file, document)
        imageBytes = try document.number("ImageSize", 1...Self.imageBytesMax)
        blockBytes = try document.number("BlockSize", 512...(64 << 20))
        let blocks = try document.number("BlocksCount", 1...Self.imageBytesMax)
        guard blocks == (imageBytes - 1) / blockBytes + 1 else {
            throw Flaw(description: "\(blocks) blocks of \(blockBytes) bytes are not \(imageBytes) bytes")
        }
        guard document.ranges.count <= Self.runsMax else {
            throw Flaw(description: "more than \(Self.runsMax) ranges")
        }
        runs = []
        for range in document.ranges { runs.append(try Self.run(range, imageBytes, blockBytes, after: runs.last)) }
        let mapped = try document.number("MappedBlocksCount", 0...blocks)
        guard mapped == runs.reduce(0, { $0 + $1.blocks.count }) else {
            throw Flaw(description: "its ranges are not the \(mapped) blocks that it names")
        }
    }

    private static func check(_ file: [UInt8], _ document: BlockMapReader.Document) throws(Flaw) {
        guard let place = document.places["BmapFileChecksum"],
            let stated = MessageCode.bytes(hexadecimal: String(decoding: file[place], as: UTF8.self)),
            stated.count == MessageCode.sizeBytes
        else { throw Flaw(description: "it has no checksum of itself") }
        var blanked = file
        for index in place { blanked[index] = UInt8(ascii: "0") }
        guard blanked.withUnsafeBytes(MessageCode.sha256) == stated else {
            throw Flaw(description: "its own checksum does not fit: it was changed or is incomplete")
        }
    }

    private static func run(
        _ range: BlockMapReader.Range, _ imageBytes: Int, _ blockBytes: Int, after last: Run?
    ) throws(Flaw) -> Run {
        let parts = range.text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let first = Int(parts[0]), let end = Int(parts[parts.count - 1]),
            first >= 0, first <= end, end <= (imageBytes - 1) / blockBytes
        else { throw Flaw(description: "range '\(range.text)' is none of this image") }
        guard first > (last?.blocks.upperBound ?? -1) else {
            throw Flaw(description: "range '\(range.text)' is not after the one before")
        }
        guard let sha256 = range.checksum.flatMap({ MessageCode.bytes(hexadecimal: $0) }),
            sha256.count == MessageCode.sizeBytes
        else { throw Flaw(description: "range '\(range.text)' has no checksum") }
        return Run(
            blocks: first...end, bytes: first * blockBytes..<min((end + 1) * blockBytes, imageBytes), sha256: sha256)
    }
}
