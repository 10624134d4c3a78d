import SmallFiles

/// Small files of /proc and /sys, which say nothing of their size.
enum SmallText {
    /// Without white space at its ends; nil when it cannot be read. At most `bytesMax` are.
    static func read(_ path: String, bytesMax: Int = 1 << 16) -> String? {
        guard let bytes = try? SmallFile.beginning(of: path, bytesMax: bytesMax) else { return nil }
        return String(decoding: bytes, as: UTF8.self).trimmingSuffix { $0.isWhitespace }
    }
}

extension String {
    fileprivate func trimmingSuffix(while isUnwanted: (Character) -> Bool) -> String {
        var text = self[...]
        while let last = text.last, isUnwanted(last) { text.removeLast() }
        return String(text)
    }
}
