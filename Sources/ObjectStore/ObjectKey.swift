import Glibc

/// The keys that every store of ours takes, so that a key good for one is good for all.
public enum ObjectKey {
    /// S3's own limit.
    public static let bytesMax = 1024
    /// The limit of one path element on Linux file systems.
    public static let elementBytesMax = 255
    /// First element of the directory store's own files; no key may begin with it.
    static let reservedElement = ".cairn"

    /// Refuses: empty or long keys, control characters, `\`, a slash at either end, empty elements, `.` and `..`.
    public static func validate(
        _ key: String, operation: ObjectStoreOperation
    ) throws(ObjectStoreError) {
        if let flaw = flaw(in: key) { throw ObjectStoreError(operation, key: key, .invalid(flaw)) }
    }

    /// A prefix of keys: as a key, but it may be empty, and may end in the middle of an element or with a slash.
    static func validate(prefix: String) throws(ObjectStoreError) {
        guard !prefix.isEmpty else { return }
        let key = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
        guard let flaw = flaw(in: key, isPrefix: !prefix.hasSuffix("/")) else { return }
        throw ObjectStoreError(.list, key: prefix, .invalid("prefix: " + flaw))
    }

    private static func flaw(in key: String, isPrefix: Bool = false) -> String? {
        let bytes = key.utf8
        if bytes.isEmpty { return "empty key" }
        if bytes.count > bytesMax { return "key of \(bytes.count) bytes, at most \(bytesMax)" }
        if bytes.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\\") }) {
            return "control character or backslash in key"
        }
        let elements = key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, element) in elements.enumerated() {
            if element.isEmpty { return "slash at an end of the key, or two together" }
            if element.count > elementBytesMax {
                return "element of \(element.count) bytes, at most \(elementBytesMax)"
            }
            if isPrefix, index == elements.count - 1 { break }
            if element.elementsEqual(".".utf8) || element.elementsEqual("..".utf8) { return "element . or .. in key" }
            if index == 0, element.elementsEqual(reservedElement.utf8) {
                return "keys under \(reservedElement) are reserved"
            }
        }
        return nil
    }

    /// Byte order of UTF-8. (Swift's own `<` compares by Unicode canonical order.)
    static func isBefore(_ a: String, _ b: String) -> Bool {
        let order = a.utf8.withContiguousStorageIfAvailable { left in
            b.utf8.withContiguousStorageIfAvailable { right in
                guard let l = left.baseAddress, let r = right.baseAddress else { return left.count < right.count }
                let shared = memcmp(l, r, min(left.count, right.count))
                return shared == 0 ? left.count < right.count : shared < 0
            }
        }
        return (order ?? nil) ?? a.utf8.lexicographicallyPrecedes(b.utf8)
    }

    /// Byte-wise prefix test. (Swift's own `hasPrefix` compares by canonical equivalence.)
    static func hasPrefix(_ key: String, _ prefix: String) -> Bool {
        key.utf8.starts(with: prefix.utf8)
    }
}
