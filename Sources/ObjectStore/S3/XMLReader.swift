import NIOCore

/// Why an XML reply could not be read.
enum XMLError: Error, Equatable {
    case truncated(offsetBytes: Int)
    case malformed(String, offsetBytes: Int)
    case overLimit(String, limit: Int)
}

/// One element: its name without namespace prefix, its own text, its children.
struct XMLElement: Equatable {
    var name: String
    var text = ""
    var children: [XMLElement] = []

    func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
    func text(_ name: String) -> String? { children.first { $0.name == name }?.text }
}

/// Reads the small XML documents of S3 replies: elements, text, CDATA, the five entities and character references.
/// Attributes, comments and processing instructions are passed over; a DOCTYPE is refused, so nothing can expand.
///
/// Bounded in depth and elements (and by its caller in bytes). Any bytes give an element or an ``XMLError``.
/// Source: XML 1.0, fifth edition.
struct XMLReader {
    static let depthMax = 16
    static let elementsMax = 60_000

    private let bytes: [UInt8]
    private var position = 0
    private var elementCount = 0

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// The root element of `reply`. What comes after it is not looked at.
    static func root(of reply: ByteBuffer) throws(XMLError) -> XMLElement {
        var reader = XMLReader(bytes: Array(reply.readableBytesView))
        _ = reader.take("\u{FEFF}")
        while true {
            reader.skipBlanks()
            if try reader.skipMisc() { continue }
            return try reader.element(depth: 1)
        }
    }

    private mutating func element(depth: Int) throws(XMLError) -> XMLElement {
        elementCount += 1
        guard depth <= Self.depthMax else { throw .overLimit("depth", limit: Self.depthMax) }
        guard elementCount <= Self.elementsMax else { throw .overLimit("elements", limit: Self.elementsMax) }
        guard take("<") else { throw fault("expected an element") }
        let tag = try name()
        let local = tag.split(separator: UInt8(ascii: ":")).last ?? tag
        var element = XMLElement(name: try string(Array(local)))
        guard try attributes() else { return element }
        try content(of: &element, tag: tag, depth: depth)
        return element
    }

    /// Text and children up to and with `</tag>`.
    private mutating func content(of element: inout XMLElement, tag: ArraySlice<UInt8>, depth: Int) throws(XMLError) {
        var text: [UInt8] = []
        while true {
            try characters(into: &text)
            if take("</") {
                guard try name() == tag else { throw fault("end tag of another element") }
                skipBlanks()
                guard take(">") else { throw fault("unclosed end tag") }
                element.text = try string(text)
                return
            }
            if take("<![CDATA[") {
                text += try upTo("]]>")
            } else if try !skipMisc() {
                element.children.append(try self.element(depth: depth + 1))
            }
        }
    }

    /// Text as far as the next `<`, references replaced.
    private mutating func characters(into text: inout [UInt8]) throws(XMLError) {
        while let byte = current, byte != UInt8(ascii: "<") {
            if byte == UInt8(ascii: "&") {
                position += 1
                text += try reference()
            } else {
                text.append(byte)
                position += 1
            }
        }
        guard current != nil else { throw .truncated(offsetBytes: position) }
    }

    private mutating func reference() throws(XMLError) -> [UInt8] {
        let end = bytes[position..<min(position + 12, bytes.count)].firstIndex(of: UInt8(ascii: ";"))
        guard let end else { throw fault("unclosed reference") }
        let body = String(decoding: bytes[position..<end], as: UTF8.self)
        position = end + 1
        switch body {
        case "amp": return [UInt8(ascii: "&")]
        case "lt": return [UInt8(ascii: "<")]
        case "gt": return [UInt8(ascii: ">")]
        case "quot": return [UInt8(ascii: "\"")]
        case "apos": return [UInt8(ascii: "'")]
        default: break
        }
        guard body.utf8.first == UInt8(ascii: "#") else { throw fault("unknown entity") }
        let digits = body.dropFirst()
        let code = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        guard let scalar = code.flatMap(Unicode.Scalar.init) else { throw fault("reference to no character") }
        return Array(String(scalar).utf8)
    }

    /// Passes over attributes and the end of the start tag; false when the element is empty (`/>`).
    private mutating func attributes() throws(XMLError) -> Bool {
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: ">"): return true
            case UInt8(ascii: "/"):
                guard take(">") else { throw fault("slash in a start tag") }
                return false
            case UInt8(ascii: "\""): _ = try upTo("\"")
            case UInt8(ascii: "'"): _ = try upTo("'")
            case UInt8(ascii: "<"): throw fault("unclosed start tag")
            default: break
            }
        }
        throw .truncated(offsetBytes: position)
    }

    /// Passes over one comment or processing instruction, if there is one here.
    private mutating func skipMisc() throws(XMLError) -> Bool {
        if take("<!--") {
            _ = try upTo("-->")
            return true
        }
        if take("<?") {
            _ = try upTo("?>")
            return true
        }
        if take("<!") { throw fault("document type refused") }
        return false
    }

    private mutating func name() throws(XMLError) -> ArraySlice<UInt8> {
        let start = position
        while let byte = current, !" \t\r\n/><='\"&!?".utf8.contains(byte) { position += 1 }
        guard position > start else { throw fault("expected a name") }
        return bytes[start..<position]
    }

    private mutating func upTo(_ end: StaticString) throws(XMLError) -> ArraySlice<UInt8> {
        let start = position
        while position < bytes.count {
            let stop = position
            if take(end) { return bytes[start..<stop] }
            position += 1
        }
        throw .truncated(offsetBytes: position)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ literal: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
        guard bytes[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    private mutating func skipBlanks() {
        while let byte = current, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
    }

    private func string(_ bytes: [UInt8]) throws(XMLError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw fault("text that is not UTF-8") }
        return text
    }

    private func fault(_ what: String) -> XMLError {
        position < bytes.count ? .malformed(what, offsetBytes: position) : .truncated(offsetBytes: position)
    }
}
