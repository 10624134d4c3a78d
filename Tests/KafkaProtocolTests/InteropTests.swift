import Foundation
import KafkaProtocol
import NIOCore
import Testing

/// A Python with the packages of `Tests/Interop/requirements.txt`.
private let python = ProcessInfo.processInfo.environment["CAIRN_PYTHON"]

@Suite("An independent implementation")
struct InteropTests {
    @Test(
        "kio reads the same fields from every message at every version and writes the same bytes",
        .disabled(if: python == nil, "set CAIRN_PYTHON to a Python that has kio (Tests/Interop/requirements.txt)"))
    func messages() throws {
        var lines: [String] = []
        for exchange in Catalogue.exchanges {
            for seed in UInt64(1)...25 {
                try exchange.both { check in
                    let (message, bytes) = try check.invent(seed: seed, isPlain: true)
                    let leaves = try check.describe(message).joined(separator: ",")
                    let key = exchange.type.apiKey.rawValue
                    lines.append("\(key) \(exchange.version) \(check.direction) \(bytes.hex) \(leaves)")
                }
            }
        }
        try compare(lines)
    }

    @Test(
        "kio reads the same records from the batches that are built here",
        .disabled(if: python == nil, "set CAIRN_PYTHON to a Python that has kio (Tests/Interop/requirements.txt)"))
    func batches() throws {
        try compare((UInt64(1)...50).map(batchLine))
    }

    /// A batch and its leaves. Timestamps are whole seconds: kio drops what is below.
    private func batchLine(_ seed: UInt64) -> String {
        var random = SeededRandom(seed: seed)
        var builder = RecordBatchBuilder(producerID: Int64(seed), producerEpoch: 3, baseSequence: 7)
        var leaves = ["0", "\(seed)", "3", "7"]
        for _ in 0..<Int.random(in: 1...20, using: &random) {
            let timestampMs = Int64.random(in: 0...4_000_000_000, using: &random) * 1000
            let key = Bool.random(using: &random) ? random.bytes(5) : nil
            let value = Bool.random(using: &random) ? random.bytes(Int.random(in: 0...200, using: &random)) : nil
            let headers = (0..<Int.random(in: 0...3, using: &random)).map { number in
                RecordHeader(key: "naïve\(number)", value: number == 1 ? nil : random.bytes(number))
            }
            builder.append(timestampMs: timestampMs, key: key, value: value, headers: headers)
            leaves += ["\(timestampMs)", leaf(key), leaf(value), "#\(headers.count)"]
            leaves += headers.flatMap { [leaf(ByteBuffer(string: $0.key)), leaf($0.value)] }
        }
        return "batch \(builder.finish().hex) \(leaves.joined(separator: ","))"
    }

    private func leaf(_ bytes: ByteBuffer?) -> String { bytes.map { "x" + $0.hex } ?? "-" }

    private func compare(_ lines: [String]) throws {
        let input = FileManager.default.temporaryDirectory.appendingPathComponent("cairn-wire-\(UUID().uuidString)")
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: input)
        defer { try? FileManager.default.removeItem(at: input) }
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(python))
        process.arguments = [tests.appendingPathComponent("Interop/wire/compare.py").path]
        process.standardInput = try FileHandle(forReadingFrom: input)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let text = String(decoding: said, as: UTF8.self)
        #expect(process.terminationStatus == 0, "\(text.prefix(4000))")
        #expect(text.hasSuffix("\(lines.count) compared, 0 differ\n"), "\(text.suffix(200))")
    }
}
