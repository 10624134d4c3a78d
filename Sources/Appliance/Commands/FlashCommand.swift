import ArgumentParser
import Glibc

struct FlashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flash", abstract: "Writes a gateway's image to a disk, and reads it back.",
        discussion: """
            IMAGE is raw or compressed with zstd. With its block map (IMAGE.bmap, or the name without .zst or .img) only the blocks \
            that hold data are written, and each range must have its checksum. The first MiB is written last: what was stopped in \
            the middle boots nowhere. Disks that are mounted, swapped to, or part of LVM or RAID are refused.
            Exit code 0: written and read back. 64: wrong use. 65: image or map damaged. 66: cannot be opened. 69: mtools is \
            missing. 74: the disk does not take or keep it. 77: refused. 130: stopped with Ctrl-C.
            """)

    @Argument(help: "The image.") var image: String?
    @Argument(help: "The disk, such as /dev/sdb; or a file, which is made.") var device: String?
    @Flag(help: "Shows the disks, and which of them could be written to.") var list = false
    @Option(help: "Block map of the image, when it is not beside it.") var bmap: String?
    @Flag(help: "Writes every block, without a map.") var noBmap = false
    @Option(help: "A site's bundle (cairn site add) for the partition 'sitecfg'. Needs mtools.") var siteBundle: String?
    @Option(help: "What the bundle is called there.") var siteBundleAs = "cairn.yaml"
    @Flag(help: "Allows a partition in place of a disk.") var forcePartition = false
    @Flag(help: "Does not ask.") var yes = false

    func validate() throws {
        if list {
            guard image == nil, device == nil else { throw ValidationError("--list takes neither IMAGE nor DEVICE") }
            return
        }
        guard image != nil, device != nil else { throw ValidationError("expected IMAGE and DEVICE, or --list") }
        guard bmap == nil || !noBmap else { throw ValidationError("--bmap and --no-bmap exclude each other") }
        guard !siteBundleAs.isEmpty, !siteBundleAs.contains("/"), siteBundleAs.utf8.count <= 64 else {
            throw ValidationError("--site-bundle-as: a file's name")
        }
    }

    func run() async throws {
        guard let image, let device else { return FlashList.show() }
        do throws(FlashError) {
            try await flash(image, device)
        } catch {
            throw Complaint.say(error.description, error.exitCode)
        }
    }

    private func flash(_ image: String, _ device: String) async throws(FlashError) {
        let bundle = try siteBundle.map { path throws(FlashError) in try SiteBundleCopy(path, as: siteBundleAs) }
        if bundle != nil { try await SiteBundleCopy.checkTool() }
        let choice: FlashPlan.MapChoice = noBmap ? .none : bmap.map { .file($0) } ?? .beside
        let plan = try FlashPlan.make(
            image: image, map: choice, target: device, allowsPartition: forcePartition)
        say(plan)
        try confirm(plan)
        StopFlag.install()
        let (head, bytes) = try write(plan)
        if let bundle { try await place(bundle, on: device, head) }
        FileHandleLine.write("\(device): \(bytes) bytes of image, written and read back\n", to: 1)
    }

    private func place(_ bundle: SiteBundleCopy, on device: String, _ head: [UInt8]) async throws(FlashError) {
        do throws(FlashError) {
            try await bundle.run(onto: device, at: try SiteBundleCopy.offset(in: head))
        } catch {
            FileHandleLine.write("cairn: the image is written and whole, the site's bundle is not on it\n")
            throw error
        }
        FileHandleLine.write("\(device): \(bundle.bundlePath) is on it as \(bundle.fileName)\n", to: 1)
    }

    /// The first bytes of what was written, and how many there are in all. The target is closed then.
    private func write(_ plan: FlashPlan) throws(FlashError) -> ([UInt8], Int) {
        let screen = FlashScreen()
        let target: FlashTarget
        var known: BlockDevice?
        switch plan.place {
        case .device(let device):
            target = try FlashTarget(device: plan.path)
            known = device
        case .file: target = try FlashTarget(file: plan.path)
        }
        let needsSite = siteBundle != nil
        var flasher = Flasher(source: plan.image, map: plan.map, target: target) { head in
            if needsSite {
                do throws(FlashError) {
                    _ = try SiteBundleCopy.offset(in: head)
                } catch { return "is not written to: \(error)" }
            }
            return known.flatMap { FlashJudge.sectorObjection(to: $0, imageHead: head) }
        } progress: { phase, done, total in
            screen.show(phase, done, total)
            return !StopFlag.isSet
        }
        do throws(FlashError) {
            let bytes = try flasher.run()
            screen.end()
            target.readPartitionsAgain()
            return (target.head(Flasher.headBytes), bytes)
        } catch {
            screen.end()
            let state =
                flasher.hasBegun
                ? "\(plan.path) is NOT usable: a part of the image is on it, its first MiB is empty. Write it again.\n"
                : "\(plan.path) was not changed\n"
            FileHandleLine.write("cairn: " + state)
            throw error
        }
    }

    // MARK: Asking

    private func say(_ plan: FlashPlan) {
        let size = plan.imageBytes.map { "\(LiveScreen.bytes($0))" } ?? "size not known before its end"
        let map =
            plan.map.map { "\(LiveScreen.bytes($0.mappedBytes)) of it to write, by \(plan.mapPath ?? "its map")" }
            ?? "no block map: every byte is written"
        FileHandleLine.write("image   \(image ?? "")  \(size), \(map)\n")
        switch plan.place {
        case .device(let device): FileHandleLine.write("device  \(FlashList.line(device))\n")
        case .file: FileHandleLine.write("file    \(plan.path)\n")
        }
    }

    private func confirm(_ plan: FlashPlan) throws(FlashError) {
        guard !yes else { return }
        guard isatty(0) == 1 else {
            throw .refused("nobody is there to say yes: give --yes to overwrite \(plan.path)")
        }
        FileHandleLine.write("Everything on \(plan.path) will be lost. Type yes to go on: ")
        guard readLine() == "yes" else { throw .refused("\(plan.path) was not changed") }
    }
}

/// Disks as `cairn flash --list` shows them.
enum FlashList {
    static func show() {
        let disks = SystemTree().disks().filter { $0.sizeBytes > 0 }
        if disks.isEmpty { FileHandleLine.write("no disks\n", to: 1) }
        for disk in disks.map(MemberSignature.added) {
            let reasons = FlashJudge.objections(to: disk, imageBytes: nil)
            FileHandleLine.write("\(line(disk))\n", to: 1)
            for reason in reasons { FileHandleLine.write("    no: \(reason)\n", to: 1) }
            if reasons.isEmpty { FileHandleLine.write("    could be written to\n", to: 1) }
        }
    }

    static func line(_ device: BlockDevice) -> String {
        let words = [
            device.path, LiveScreen.bytes(device.sizeBytes), device.model,
            device.serial.map { "serial \($0)" }, device.isRemovable ? "removable" : nil,
        ]
        return words.compactMap { $0 }.joined(separator: "  ")
    }
}
