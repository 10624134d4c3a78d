import Foundation
import Testing

@testable import Appliance

/// Trees that look like /sys and /proc.
struct FixtureTree: ~Copyable {
    let root = NSTemporaryDirectory() + "cairn-tree-" + UUID().uuidString

    init(_ files: [String: String]) throws {
        for (path, text) in files {
            let url = URL(fileURLWithPath: root + path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    var tree: SystemTree { SystemTree(root: root) }
}

@Suite("Which disks may be overwritten")
struct FlashJudgeTests {
    /// A stick sdb, a system disk sda, an LVM on sdc.
    static let files: [String: String] = [
        "/sys/block/sda/dev": "8:0\n", "/sys/block/sda/size": "1000000\n", "/sys/block/sda/ro": "0\n",
        "/sys/block/sda/sda1/dev": "8:1\n", "/sys/block/sda/sda1/partition": "1\n",
        "/sys/block/sda/sda1/size": "2048\n",
        "/sys/block/sda/sda2/dev": "8:2\n", "/sys/block/sda/sda2/partition": "2\n",
        "/sys/block/sda/sda2/size": "4096\n",
        "/sys/block/sdb/dev": "8:16\n", "/sys/block/sdb/size": "62333952\n", "/sys/block/sdb/ro": "0\n",
        "/sys/block/sdb/removable": "1\n", "/sys/block/sdb/device/vendor": "SanDisk \n",
        "/sys/block/sdb/device/model": "Ultra\n", "/sys/block/sdb/device/serial": "4C53\n",
        "/sys/block/sdb/queue/logical_block_size": "512\n",
        "/sys/block/sdc/dev": "8:32\n", "/sys/block/sdc/size": "100\n",
        "/sys/block/sdc/sdc1/dev": "8:33\n", "/sys/block/sdc/sdc1/partition": "1\n",
        "/sys/block/sdc/sdc1/holders/dm-0": "", "/sys/block/dm-0/dm/name": "vg-data\n",
        "/sys/block/dm-0/dev": "252:0\n", "/sys/block/dm-0/size": "90\n",
        "/sys/block/sr0/dev": "11:0\n", "/sys/block/sr0/size": "0\n", "/sys/block/sr0/ro": "1\n",
        "/proc/self/mountinfo": """
        22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
        23 22 0:30 / /data rw - btrfs /dev/sdd rw
        24 22 8:1 /var/x /mnt/with\\040blank rw shared:1 - ext4 /dev/sda1 rw
        bad line
        """,
        "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 100 0 -2\n",
    ]

    @Test("a stick is described, and nothing speaks against it")
    func stick() throws {
        let fixture = try FixtureTree(Self.files)
        let found = try #require(fixture.tree.device(number: "8:16"))
        #expect(
            found
                == BlockDevice(
                    name: "sdb", number: "8:16", sizeBytes: 62_333_952 * 512, isRemovable: true,
                    model: "SanDisk Ultra", serial: "4C53"))
        #expect(FlashJudge.objections(to: found, imageBytes: 1 << 30).isEmpty)
    }

    @Test("a disk with a mounted or swapped partition is in use, and the root's disk is the system's")
    func inUse() throws {
        let fixture = try FixtureTree(Self.files)
        let disk = try #require(fixture.tree.device(number: "8:0"))
        #expect(
            disk.uses == [
                .mounted(device: "sda1", at: "/"), .mounted(device: "sda1", at: "/mnt/with blank"),
                .swap(device: "sda2"),
            ])
        let reasons = FlashJudge.objections(to: disk, imageBytes: 1)
        #expect(reasons.count == 3)
        #expect(reasons[0].contains("running system") && reasons[1].contains("umount /mnt/with blank"))
        #expect(reasons[2].contains("swapoff /dev/sda2"))
    }

    @Test("what LVM, encryption or RAID lie on is held, by the name that people gave it")
    func held() throws {
        let fixture = try FixtureTree(Self.files)
        let disk = try #require(fixture.tree.device(number: "8:32"))
        #expect(disk.uses == [.held(device: "sdc1", by: "vg-data (dm-0)")])
    }

    @Test("a partition is refused unless it is meant, and knows who uses its disk")
    func partition() throws {
        let fixture = try FixtureTree(Self.files)
        let partition = try #require(fixture.tree.device(number: "8:2"))
        #expect(partition.isPartition && partition.uses == [.swap(device: "sda2")])
        let free = BlockDevice(name: "sdb1", number: "8:17", isPartition: true, sizeBytes: 1 << 30)
        #expect(FlashJudge.objections(to: free, imageBytes: 1).count == 1)
        #expect(FlashJudge.objections(to: free, imageBytes: 1, allowsPartition: true).isEmpty)
    }

    @Test("short, read-only and empty devices are refused, and those that are part of something idle")
    func kinds() {
        func reasons(_ device: BlockDevice) -> String {
            FlashJudge.objections(to: device, imageBytes: 1000).joined()
        }
        #expect(reasons(BlockDevice(name: "x", number: "1:1", sizeBytes: 999)).contains("too small"))
        #expect(reasons(BlockDevice(name: "x", number: "1:1", sizeBytes: 1000)).isEmpty)
        #expect(reasons(BlockDevice(name: "x", number: "1:1", sizeBytes: 0)).contains("no medium"))
        #expect(reasons(BlockDevice(name: "x", number: "1:1", sizeBytes: 9999, isReadOnly: true)).contains("read-only"))
        var idle = BlockDevice(name: "x", number: "1:1", sizeBytes: 9999)
        idle.uses = [.member(device: "x1", of: "LVM")]
        #expect(reasons(idle).contains("wipefs -a /dev/x1"))
    }

    @Test("idle parts of LVM and RAID are known by their labels")
    func members() {
        var lvm = [UInt8](repeating: 0, count: 8192)
        lvm.replaceSubrange(512..<520, with: "LABELONE".utf8)
        #expect(MemberSignature.found(in: lvm) == nil)
        lvm.replaceSubrange(536..<544, with: "LVM2 001".utf8)
        #expect(MemberSignature.found(in: lvm) == "LVM")
        var raid = [UInt8](repeating: 0, count: 8192)
        raid.replaceSubrange(4096..<4100, with: [0xFC, 0x4E, 0x2B, 0xA9])
        #expect(MemberSignature.found(in: raid) == "RAID")
        for end in 0..<600 { _ = MemberSignature.found(in: Array(lvm[..<end])) }
    }

    @Test("an image for sectors of another size is refused")
    func sectors() {
        var head = [UInt8](repeating: 0, count: 8192)
        head.replaceSubrange(512..<520, with: "EFI PART".utf8)
        let large = BlockDevice(name: "x", number: "1:1", sizeBytes: 1 << 30, sectorBytes: 4096)
        #expect(FlashJudge.sectorObjection(to: large, imageHead: head) != nil)
        #expect(
            FlashJudge.sectorObjection(to: BlockDevice(name: "x", number: "1:1", sizeBytes: 1), imageHead: head) == nil)
        #expect(FlashJudge.sectorObjection(to: large, imageHead: [1, 2, 3]) == nil)
    }

    @Test("a partition table gives places and names; no bytes of it are a trap")
    func table() throws {
        var head = [UInt8](repeating: 0, count: 34 * 512)
        head.replaceSubrange(512..<520, with: "EFI PART".utf8)
        head[512 + 72] = 2
        head[512 + 80] = 128
        head[512 + 84] = 128
        let entry = 1024 + 128
        head.replaceSubrange(
            entry..<entry + 16,
            with: [
                0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7,
            ])
        head[entry + 33] = 8
        head[entry + 41] = 9
        for (index, unit) in "sitecfg".utf8.enumerated() { head[entry + 56 + 2 * index] = unit }
        let table = try #require(GPTTable(head))
        #expect(
            table.entries == [GPTTable.Entry(name: "sitecfg", bytes: 2048 * 512..<2305 * 512, isBasicData: true)])
        #expect(try SiteBundleCopy.offset(in: head) == 2048 * 512)
        for index in 512..<1024 {
            for value: UInt8 in [0x80, 0xFF] {
                var bytes = head
                bytes[index] = value
                _ = GPTTable(bytes)
            }
        }
        for end in stride(from: 0, to: head.count, by: 97) { _ = GPTTable(Array(head[..<end])) }
    }
}
