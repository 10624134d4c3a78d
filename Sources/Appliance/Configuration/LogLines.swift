import FoundationEssentials
import Logging
import Synchronization

/// Log lines on standard error: text for people, or one JSON object a line for journald and collectors.
struct LogLines: LogHandler {
    private let label: String
    private let json: Bool
    private var ownLevel: Logger.Level
    var logLevel: Logger.Level {
        get { LogLevelOverride.level ?? ownLevel }
        set { ownLevel = newValue }
    }
    var metadata: Logger.Metadata = [:]

    init(label: String, level: Logger.Level, json: Bool) {
        self.label = label
        self.ownLevel = level
        self.json = json
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let pairs = all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        let message = "\(event.message)"
        let line = json ? jsonLine(event.level, message, pairs) : textLine(event.level, message, pairs)
        Self.lock.withLock { _ in FileHandleLine.write(line) }
    }

    private static let lock = Mutex(())

    private func textLine(_ level: Logger.Level, _ message: String, _ pairs: [(String, String)]) -> String {
        let time = Date.now.formatted(.iso8601)
        let rest = pairs.map { " \($0.0)=\($0.1)" }.joined()
        return "\(time) \(level.rawValue) \(label): \(message)\(rest)\n"
    }

    private func jsonLine(_ level: Logger.Level, _ message: String, _ pairs: [(String, String)]) -> String {
        var fields = [("time", Date.now.formatted(.iso8601)), ("level", level.rawValue), ("module", label)]
        fields.append(("message", message))
        fields.append(contentsOf: pairs)
        return "{" + fields.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}\n"
    }

    /// A JSON string (RFC 8259, section 7).
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case let control where control.value < 0x20:
                let hex = String(control.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// A level for the whole process, in place of what each logger was made with.
enum LogLevelOverride {
    private static let levels = Logger.Level.allCases
    private static let index = Atomic<Int>(-1)

    static var level: Logger.Level? {
        let index = index.load(ordering: .relaxed)
        return index >= 0 ? levels[index] : nil
    }

    static func set(_ level: Logger.Level?) {
        index.store(level.flatMap { levels.firstIndex(of: $0) } ?? -1, ordering: .relaxed)
    }
}

/// One whole line to standard error; a closed one is not an error of ours.
enum FileHandleLine {
    static func write(_ line: String, to descriptor: Int32 = 2) {
        let bytes = Array(line.utf8)
        var start = 0
        while start < bytes.count {
            let written = bytes[start...].withUnsafeBytes { systemWrite(descriptor, $0) }
            guard written > 0 else { return }
            start += written
        }
    }
}
