import Glibc

/// Counts the starts of an installation, in `<root>/boots`, and remembers which of them were on one run of the machine.
///
/// - Bytes: text. First line `boots 1`, then `epoch <n>`, then for each run of the machine, oldest first, at most 64:
///   `machine <first epoch> <boot id of the kernel>`.
/// - Durability: the number is synced before it is used. Where that fails the start goes on: each lane counts by itself,
///   above all that its segments know.
public struct SiteBoots: Sendable, Equatable {
    /// This start.
    public private(set) var epoch: UInt64
    /// What kept the number from being read or written.
    public private(set) var trouble: String?
    private var machines: [Machine]
    private let path: String

    private struct Machine: Equatable {
        var firstEpoch: UInt64
        var id: String
    }

    private static let machinesMax = 64
    private static let fileName = "boots"

    /// Counts one more start.
    ///
    /// - Parameter machineBootID: names this run of the machine, 1 to 64 bytes without blanks; nil when nobody knows.
    public static func open(root: String, machineBootID: String? = Self.kernelBootID()) -> SiteBoots {
        var boots = SiteBoots(path: root + "/" + fileName)
        boots.load()
        boots.epoch = BootEpoch.following(boots.epoch, atLeast: 1)
        let id = machineBootID ?? "unknown-\(boots.epoch)"
        if boots.machines.last?.id != id {
            boots.machines.append(Machine(firstEpoch: boots.epoch, id: id))
            boots.machines.removeFirst(max(0, boots.machines.count - machinesMax))
        }
        boots.save()
        return boots
    }

    private init(path: String) {
        self.path = path
        (epoch, trouble, machines) = (0, nil, [])
    }

    /// A lane knew of more starts than the file, which has been lost then: goes on from there.
    public mutating func raise(to laneEpoch: UInt64) {
        guard laneEpoch > epoch else { return }
        // Starts between the two were on who knows which run of the machine.
        if let last = machines.last, last.firstEpoch == epoch { machines[machines.count - 1].firstEpoch = laneEpoch }
        epoch = laneEpoch
        save()
    }

    /// The first start on the run of the machine that a start was on; nil where that is not known any more.
    public func run(of epoch: UInt64) -> UInt64? {
        guard epoch <= self.epoch else { return nil }
        return machines.last { $0.firstEpoch <= epoch }?.firstEpoch
    }

    /// Whether the monotonic times of two starts are by the same clock: they were on one run of the machine.
    public func sharesClock(_ first: UInt64, _ second: UInt64) -> Bool {
        if first == second { return true }
        let (early, late) = (min(first, second), max(first, second))
        guard let machine = machines.last(where: { $0.firstEpoch <= late }), late <= epoch else { return false }
        return machine.firstEpoch <= early
    }

    /// The kernel's name for this run of the machine.
    public static func kernelBootID() -> String? {
        let text = (try? readSmallFile("/proc/sys/kernel/random/boot_id")) ?? nil
        return text.flatMap { isID($0[...]) ? $0 : nil }
    }

    private static func isID(_ text: Substring) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private mutating func load() {
        do throws(DiskError) {
            guard let text = try readSmallFile(path) else { return }
            if !parse(text) { trouble = "\(path): \(text.utf8.count) bytes that are no count of starts" }
        } catch {
            trouble = error.description
        }
    }

    private mutating func parse(_ text: String) -> Bool {
        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        guard lines.count >= 2, lines[0] == ["boots", "1"], lines[1].count == 2, lines[1][0] == "epoch",
            let count = UInt64(lines[1][1]), count <= BootEpoch.max
        else { return false }
        var found: [Machine] = []
        for line in lines.dropFirst(2) {
            guard line.count == 3, line[0] == "machine", let first = UInt64(line[1]), Self.isID(line[2]),
                first > found.last?.firstEpoch ?? 0, first <= count
            else { return false }
            found.append(Machine(firstEpoch: first, id: String(line[2])))
        }
        (epoch, machines) = (count, found)
        return true
    }

    private mutating func save() {
        let lines = ["boots 1", "epoch \(epoch)"] + machines.map { "machine \($0.firstEpoch) \($0.id)" }
        do throws(DiskError) {
            try replaceSynced(path, with: lines.joined(separator: "\n") + "\n")
        } catch {
            trouble = error.description
        }
    }
}
