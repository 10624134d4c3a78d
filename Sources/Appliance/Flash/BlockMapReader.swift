/// Reads the little XML that bmap files are: one root, elements with text, `Range` elements in a `BlockMap`, comments.
struct BlockMapReader {
    struct Range: Equatable {
        var text: String
        var checksum: String?
    }

    struct Document: Equatable {
        var version: String
        /// Where in the file the text of each element is, without the blanks around it.
        var places: [String: Swift.Range<Int>] = [:]
        var texts: [String: String] = [:]
        var ranges: [Range] = []

        func text(_ name: String) -> String? { texts[name] }

        func number(_ name: String, _ allowed: ClosedRange<Int>) throws(BlockMap.Flaw) -> Int {
            guard let text = texts[name], let number = Int(text), allowed.contains(number) else {
                throw BlockMap.Flaw(description: "\(name) is '\(texts[name] ?? "")'")
            }
            return number
        }
    }

    private struct Tag {
        var name: String
        var attributes: [String: String]
    }

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(BlockMap.Flaw) -> Document {
        let root = try open()
        guard root.name == "bmap", let version = root.attributes["version"] else {
            throw BlockMap.Flaw(description: "not a bmap file")
        }
        var document = Document(version: version)
        while try !closes("bmap") {
            let tag = try open()
            if tag.name == "BlockMap" {
                while try !closes("BlockMap") { document.ranges.append(try range()) }
                continue
            }
            guard document.texts[tag.name] == nil else { throw fault("a second \(tag.name)") }
            let place = try text(of: tag.name)
            document.places[tag.name] = place
            document.texts[tag.name] = String(decoding: bytes[place], as: UTF8.self)
        }
        skip()
        guard position == bytes.count else { throw fault("something after the end") }
        return document
    }

    private mutating func range() throws(BlockMap.Flaw) -> Range {
        let tag = try open()
        guard tag.name == "Range" else { throw fault("\(tag.name) in the BlockMap") }
        let place = try text(of: "Range")
        return Range(text: String(decoding: bytes[place], as: UTF8.self), checksum: tag.attributes["chksum"])
    }

    // MARK: Pieces

    private mutating func open() throws(BlockMap.Flaw) -> Tag {
        skip()
        guard take("<") else { throw fault("expected an element") }
        var tag = Tag(name: word(), attributes: [:])
        guard !tag.name.isEmpty else { throw fault("expected the name of an element") }
        while true {
            blanks()
            if take(">") { return tag }
            let name = word()
            guard !name.isEmpty, take("=\""), let end = bytes[position...].firstIndex(of: UInt8(ascii: "\"")) else {
                throw fault("expected an attribute")
            }
            tag.attributes[name] = String(decoding: bytes[position..<end], as: UTF8.self)
            position = end + 1
        }
    }

    /// Whether the end tag comes next, which is then taken.
    private mutating func closes(_ name: String) throws(BlockMap.Flaw) -> Bool {
        skip()
        guard bytes[position...].starts(with: "</".utf8) else {
            guard position < bytes.count else { throw fault("it ends before </\(name)>") }
            return false
        }
        guard take("</\(name)>") else { throw fault("expected </\(name)>") }
        return true
    }

    /// Text up to the end tag, which is taken.
    private mutating func text(of name: String) throws(BlockMap.Flaw) -> Swift.Range<Int> {
        blanks()
        let start = position
        guard let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) else {
            throw fault("it ends in \(name)")
        }
        position = end
        guard take("</\(name)>") else { throw fault("expected </\(name)>") }
        let last = bytes[start..<end].lastIndex { !Self.isBlank($0) }
        return start..<(last.map { $0 + 1 } ?? start)
    }

    /// Blanks, comments and the declaration.
    private mutating func skip() {
        while true {
            blanks()
            let end: String
            if take("<!--") { end = "-->" } else if take("<?") { end = "?>" } else { return }
            while position < bytes.count, !take(end) { position += 1 }
        }
    }

    private mutating func blanks() { while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 } }

    private mutating func word() -> String {
        let start = position
        while position < bytes.count, Self.isNamePart(bytes[position]) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func take(_ text: String) -> Bool {
        guard bytes[position...].starts(with: text.utf8) else { return false }
        position += text.utf8.count
        return true
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte)
    }

    private func fault(_ what: String) -> BlockMap.Flaw { BlockMap.Flaw(description: "\(what), at byte \(position)") }
}
