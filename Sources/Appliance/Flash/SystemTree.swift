import FoundationEssentials

/// Block devices as `/sys` and `/proc` show them, or as copies of both do in tests.
struct SystemTree {
    /// Before `/sys` and `/proc`.
    var root = ""

    /// All disks that are there, by name.
    func disks() -> [BlockDevice] { names("/sys/block").sorted().compactMap(disk) }

    /// The disk or partition with this `major:minor`.
    func device(number: String) -> BlockDevice? {
        for name in names("/sys/block") {
            if text("/sys/block/\(name)/dev") == number { return disk(name) }
            for partition in partitions(of: name) where text("/sys/block/\(name)/\(partition)/dev") == number {
                return self.partition(partition, of: name)
            }
        }
        return nil
    }

    private func disk(_ name: String) -> BlockDevice? {
        let directory = "/sys/block/\(name)"
        guard let number = text(directory + "/dev") else { return nil }
        var device = BlockDevice(name: name, number: number, sizeBytes: sizeBytes(directory))
        device.partitions = partitions(of: name)
        describe(&device, disk: directory)
        device.isReadOnly = text(directory + "/ro") == "1"
        device.uses = uses(name, directory) + device.partitions.flatMap { uses($0, directory + "/" + $0) }
        return device
    }

    private func partition(_ name: String, of disk: String) -> BlockDevice? {
        let directory = "/sys/block/\(disk)/\(name)"
        guard let number = text(directory + "/dev") else { return nil }
        var device = BlockDevice(name: name, number: number, isPartition: true, sizeBytes: sizeBytes(directory))
        describe(&device, disk: "/sys/block/\(disk)")
        device.isReadOnly = text(directory + "/ro") == "1"
        // Who holds the whole disk holds the partition too.
        device.uses = uses(name, directory) + uses(disk, "/sys/block/\(disk)")
        return device
    }

    private func describe(_ device: inout BlockDevice, disk: String) {
        device.sectorBytes = text(disk + "/queue/logical_block_size").flatMap(Int.init) ?? 512
        device.isRemovable = text(disk + "/removable") == "1"
        let model = [text(disk + "/device/vendor"), text(disk + "/device/model") ?? text(disk + "/device/name")]
        let words = model.compactMap { $0 }.filter { !$0.isEmpty }
        device.model = words.isEmpty ? text(disk + "/loop/backing_file") : words.joined(separator: " ")
        device.serial = serial(disk)
    }

    /// Of the disk, or of the USB device a few steps above it.
    private func serial(_ disk: String) -> String? {
        if let own = text(disk + "/device/serial") ?? text(disk + "/serial") { return own }
        guard var directory = resolved(root + disk + "/device") else { return nil }
        for _ in 0..<8 where directory.count > root.count + 5 {
            if let found = contents(directory + "/serial") { return found }
            directory = String(directory[..<(directory.lastIndex(of: "/") ?? directory.startIndex)])
        }
        return nil
    }

    /// `size` counts 512 bytes whatever the sectors are. Source: Documentation/ABI/stable/sysfs-block.
    private func sizeBytes(_ directory: String) -> Int {
        let count = text(directory + "/size").flatMap(Int.init) ?? 0
        return (0...(1 << 50)).contains(count) ? count * 512 : 0
    }

    private func partitions(of disk: String) -> [String] {
        names("/sys/block/\(disk)").filter { text("/sys/block/\(disk)/\($0)/partition") != nil }.sorted()
    }

    // MARK: In use

    private func uses(_ name: String, _ directory: String) -> [BlockDevice.Use] {
        let number = text(directory + "/dev") ?? "-"
        let mounts = mountPoints(number: number, path: "/dev/" + name).map {
            BlockDevice.Use.mounted(device: name, at: $0)
        }
        let holders = names(directory + "/holders").sorted().map { BlockDevice.Use.held(device: name, by: holder($0)) }
        return mounts + (swaps.contains("/dev/" + name) ? [.swap(device: name)] : []) + holders
    }

    /// `dm-0` with the name people gave it.
    private func holder(_ name: String) -> String {
        text("/sys/block/\(name)/dm/name").map { "\($0) (\(name))" } ?? name
    }

    /// By the device's number, or by its name where the file system has a number of its own (btrfs).
    /// Source: proc_pid_mountinfo(5).
    private func mountPoints(number: String, path: String) -> [String] {
        var places: [String] = []
        for line in lines("/proc/self/mountinfo") {
            let fields = line.split(separator: " ").map(String.init)
            guard fields.count > 6, let dash = fields.firstIndex(of: "-"), fields.count > dash + 2 else { continue }
            guard fields[2] == number || fields[dash + 2] == path else { continue }
            let place = unescaped(fields[4])
            if !places.contains(place) { places.append(place) }
        }
        return places
    }

    private var swaps: [String] {
        lines("/proc/swaps").dropFirst().compactMap { line in
            guard let path = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).first else { return nil }
            return resolved(unescaped(String(path))) ?? String(path)
        }
    }

    /// Blanks and backslashes are written as `\040` and the like.
    private func unescaped(_ text: String) -> String {
        let parts = text.components(separatedBy: "\\")
        return parts.dropFirst().reduce(parts[0]) { result, part in
            guard let code = UInt8(part.prefix(3), radix: 8), part.count >= 3 else { return result + "\\" + part }
            return result + String(decoding: [code], as: UTF8.self) + part.dropFirst(3)
        }
    }

    // MARK: Files

    private func names(_ directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: root + directory)) ?? []
    }

    private func lines(_ path: String) -> [Substring] {
        guard let data = FileManager.default.contents(atPath: root + path) else { return [] }
        return String(decoding: data, as: UTF8.self).split(separator: "\n")
    }

    private func text(_ path: String) -> String? { contents(root + path) }

    private func contents(_ path: String) -> String? {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: data.prefix(4096), as: UTF8.self)
        return String(
            text.trimmingPrefix(while: \.isWhitespace).reversed().trimmingPrefix(while: \.isWhitespace).reversed())
    }

    private func resolved(_ path: String) -> String? { systemRealPath(path) }
}
