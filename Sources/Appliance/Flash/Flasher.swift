import SiteAuthority

/// Writes an image and reads it back.
///
/// The first MiB is written last, and zeros stand there until everything else has been read back: what was stopped in the
/// middle has no partition table and boots nowhere. Memory is bounded: one piece, and the first MiB.
struct Flasher: ~Copyable {
    enum Phase: String {
        case writing, checking
    }

    /// Asked after each piece; the flasher ends with ``FlashError/stopped`` when it says false.
    typealias Progress = (_ phase: Phase, _ doneBytes: Int, _ totalBytes: Int?) -> Bool

    /// Bytes that went to the target, and their SHA-256.
    private struct Extent {
        var bytes: Range<Int>
        var sha256: [UInt8]
        var name: String
    }

    private let source: any ImageSource
    private let map: BlockMap?
    private let target: FlashTarget
    /// Says why the image, by its first bytes, does not fit the target.
    private let objection: ([UInt8]) -> String?
    private let progress: Progress
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
    private var position = 0
    private var doneBytes = 0
    private var head: [Int: [UInt8]] = [:]
    private var extents: [Extent] = []
    /// Something of the target was changed.
    private(set) var hasBegun = false

    private static let pieceBytes = 1 << 20
    static let headBytes = 1 << 20
    /// Without a map: so much is read back and compared at once.
    private static let extentBytes = 4 << 20

    init(
        source: any ImageSource, map: BlockMap?, target: FlashTarget, objection: @escaping ([UInt8]) -> String?,
        progress: @escaping Progress
    ) {
        self.source = source
        self.map = map
        self.target = target
        self.objection = objection
        self.progress = progress
    }

    deinit { buffer.deallocate() }

    /// Bytes of the image; all of them are on the target, and were read back from there, when this returns.
    mutating func run() throws(FlashError) -> Int {
        let imageBytes: Int
        if let map { imageBytes = try copyMapped(map) } else { imageBytes = try copyAll() }
        // Something short enough to be all head has not begun yet.
        if !hasBegun { try begin() }
        try target.forgetCache()
        try check()
        for (offset, bytes) in head { try target.write(bytes, at: offset) }
        try target.forgetCache()
        try checkHead()
        return imageBytes
    }

    // MARK: Writing

    private mutating func copyMapped(_ map: BlockMap) throws(FlashError) -> Int {
        for run in map.runs {
            guard try source.skip(run.bytes.lowerBound - position) == run.bytes.lowerBound - position else {
                throw .badImage("the image ends before range \(Self.name(run))")
            }
            position = run.bytes.lowerBound
            let (count, sha256) = try copy(run.bytes.count, total: map.mappedBytes)
            guard count == run.bytes.count else {
                throw .badImage("the image ends in range \(Self.name(run)), at byte \(position)")
            }
            guard sha256 == run.sha256 else {
                throw .badImage("range \(Self.name(run)) of the image is not what the map says: one of them is damaged")
            }
            extents.append(Extent(bytes: run.bytes, sha256: sha256, name: Self.name(run)))
        }
        let rest = try source.skip(map.imageBytes - position + 1)
        guard position + rest == map.imageBytes else {
            throw .badImage("the image and its map are of different sizes: \(map.imageBytes) bytes by the map")
        }
        return map.imageBytes
    }

    private mutating func copyAll() throws(FlashError) -> Int {
        while true {
            let start = position
            let (count, sha256) = try copy(Self.extentBytes, total: source.sizeBytes)
            if count > 0 {
                extents.append(
                    Extent(bytes: start..<start + count, sha256: sha256, name: "\(start)-\(start + count - 1)"))
            }
            guard count == Self.extentBytes else { break }
        }
        guard position > 0 else { throw .badImage("the image is empty") }
        return position
    }

    /// Up to `count` bytes from here on; fewer at the end of the image.
    private mutating func copy(_ count: Int, total: Int?) throws(FlashError) -> (Int, [UInt8]) {
        var digest = RunningDigest()
        let end = position + count
        while position < end {
            let wanted = Self.pieceSize(at: position, end: end)
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted])
            let found = try source.read(into: piece)
            let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(piece)[..<found])
            digest.update(bytes)
            if position < Self.headBytes {
                if found > 0 { head[position] = Array(bytes) }
            } else {
                if !hasBegun { try begin() }
                try target.write(bytes, at: position)
            }
            position += found
            doneBytes += found
            guard progress(.writing, doneBytes, total) else { throw .stopped }
            if found < wanted { break }
        }
        return (count - (end - position), digest.finish())
    }

    /// The last moment at which the target is as it was.
    private mutating func begin() throws(FlashError) {
        if let objection = objection(imageHead) { throw .refused("\(target.path): \(objection)") }
        hasBegun = true
        if !target.isDevice { try target.resize(to: map?.imageBytes ?? source.sizeBytes ?? 0) }
        let zeros = [UInt8](repeating: 0, count: min(Self.headBytes, max(headEnd, map?.imageBytes ?? 0)))
        try target.write(zeros, at: 0)
        try target.sync()
    }

    private var headEnd: Int { head.map { $0.key + $0.value.count }.max() ?? 0 }

    private var imageHead: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: headEnd)
        for (offset, piece) in head { bytes.replaceSubrange(offset..<offset + piece.count, with: piece) }
        return bytes
    }

    // MARK: Reading back

    private mutating func check() throws(FlashError) {
        let total = extents.reduce(0) { $0 + $1.bytes.count }
        doneBytes = 0
        for extent in extents {
            var digest = RunningDigest()
            var offset = extent.bytes.lowerBound
            while offset < extent.bytes.upperBound {
                let count = Self.pieceSize(at: offset, end: extent.bytes.upperBound)
                if let piece = head[offset] {
                    piece.withUnsafeBytes { digest.update($0) }
                } else {
                    let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                    try target.read(into: piece, at: offset)
                    digest.update(UnsafeRawBufferPointer(piece))
                }
                offset += count
                doneBytes += count
                guard progress(.checking, doneBytes, total) else { throw .stopped }
            }
            guard digest.finish() == extent.sha256 else { throw unkept(extent.name) }
        }
    }

    private func checkHead() throws(FlashError) {
        for (offset, bytes) in head {
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
            try target.read(into: piece, at: offset)
            guard piece.elementsEqual(bytes) else { throw unkept("at its beginning") }
        }
    }

    private func unkept(_ range: String) -> FlashError {
        .failed("\(target.path): range \(range) reads back as something else than was written: the device is broken")
    }

    /// The same cuts in both directions; none goes over the end of the head.
    private static func pieceSize(at offset: Int, end: Int) -> Int {
        min(end - offset, pieceBytes, offset < headBytes ? headBytes - offset : pieceBytes)
    }

    private static func name(_ run: BlockMap.Run) -> String {
        "\(run.blocks.lowerBound)-\(run.blocks.upperBound)"
    }
}
