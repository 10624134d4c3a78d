import Foundation
import Testing

@testable import SmallFiles

@Suite("Small files")
struct SmallFileTests {
    private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("cairn-\(UUID().uuidString)").path
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test(
        "a file up to the limit is read whole, one byte more is refused or cut",
        arguments: [0, 1, 16_384, 16_385, 99_999])
    func limits(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try withFile(bytes) { path throws in
            #expect(try SmallFile.read(path, bytesMax: count) == bytes)
            #expect(try SmallFile.beginning(of: path, bytesMax: count + 10) == bytes)
        }
        try withFile(bytes + [7]) { path throws in
            #expect(throws: SmallFile.Failure.tooLarge(bytesMax: count)) { try SmallFile.read(path, bytesMax: count) }
            #expect(try SmallFile.beginning(of: path, bytesMax: count) == bytes)
        }
    }

    @Test("what keeps a file from being read is told")
    func failures() throws {
        #expect(throws: SmallFile.Failure.open(ENOENT)) { try SmallFile.read("/nowhere/file", bytesMax: 1) }
        #expect(throws: SmallFile.Failure.read(EISDIR)) { try SmallFile.read("/", bytesMax: 1) }
        #expect(SmallFile.Failure.open(ENOENT).description == "No such file or directory")
    }

    @Test("files of /proc, which have no size, are read")
    func proc() throws {
        #expect(try !SmallFile.read("/proc/self/stat", bytesMax: 1 << 16).isEmpty)
    }
}
