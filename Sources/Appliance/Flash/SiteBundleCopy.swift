import FoundationEssentials
import Glibc

/// Puts a provisioning bundle onto the partition `sitecfg` of an image that was just written, with mtools: nothing is mounted.
struct SiteBundleCopy {
    static let partition = "sitecfg"
    static let bytesMax = 64 << 10

    /// The settings, as `cairn site add` wrote them.
    let bundle: [UInt8]
    let bundlePath: String
    /// What it is called on the partition.
    let fileName: String

    init(_ path: String, as fileName: String) throws(FlashError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .noInput("\(path): \(systemError())")
        }
        guard (1...Self.bytesMax).contains(data.count) else {
            throw .badImage("\(path): \(data.count) bytes; a site's bundle has 1 to \(Self.bytesMax)")
        }
        bundle = Array(data)
        bundlePath = path
        self.fileName = fileName
    }

    /// Where the partition lies, by the table at the beginning of the image.
    static func offset(in head: [UInt8]) throws(FlashError) -> Int {
        guard let table = GPTTable(head) else {
            throw .badImage("the image has no GPT, so no partition '\(partition)'")
        }
        let found = table.entries.filter { $0.name == partition }
        guard found.count == 1 else {
            throw .badImage(
                "the image has \(found.count) partitions named '\(partition)'; the site's bundle goes on one")
        }
        guard found[0].isBasicData else {
            throw .badImage("partition '\(partition)' of the image is not of type Microsoft basic data")
        }
        return found[0].bytes.lowerBound
    }

    /// Before anything is written: is there an mcopy?
    static func checkTool() async throws(FlashError) {
        _ = try await tool(["mcopy", "-V"])
    }

    /// Writes it, syncs it and reads it back.
    func run(onto target: String, at offset: Int) async throws(FlashError) {
        let place = "\(target)@@\(offset)"
        let copied = try await Self.tool(["mcopy", "-o", "-i", place, bundlePath, "::/\(fileName)"])
        guard copied.code == 0 else { throw .failed("\(target): mcopy: \(copied.lastLine)") }
        try FlashTarget(existing: target).forgetCache()
        let found = try await Self.tool(["mtype", "-i", place, "::/\(fileName)"], keepsErrors: false)
        guard found.code == 0, found.output == bundle else {
            throw .failed("\(target): the site's bundle reads back as something else than was written")
        }
    }

    private static func tool(
        _ arguments: [String], keepsErrors: Bool = true
    ) async throws(FlashError) -> ChildProcess.Outcome {
        do {
            // The geometry that FAT was made with is of no interest on a disk without cylinders.
            let found = try await ChildProcess.run(
                arguments, environment: ["MTOOLS_SKIP_CHECK": "1"], keepsErrors: keepsErrors, timeout: .seconds(60))
            guard !found.isOverTime else { throw FlashError.failed("\(arguments[0]) did not end within a minute") }
            return found
        } catch let error as FlashError {
            throw error
        } catch let error as ChildProcess.Failure where error.isMissing {
            throw .noTool("--site-bundle needs mcopy: install mtools (apt-get install mtools), or leave it out")
        } catch {
            throw .failed("\(error)")
        }
    }
}
