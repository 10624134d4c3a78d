/// What the kernel says of a disk or a partition.
struct BlockDevice: Equatable {
    /// What keeps it from being written to.
    enum Use: Equatable {
        case mounted(device: String, at: String)
        case swap(device: String)
        /// Device mapper (LVM, encryption), software RAID.
        case held(device: String, by: String)
        /// Not in use, but part of something: `LVM`, `RAID`.
        case member(device: String, of: String)
    }

    /// The kernel's name: `sdb`, `nvme0n1p2`.
    var name: String
    /// `major:minor`.
    var number: String
    var isPartition = false
    var sizeBytes: Int
    var sectorBytes = 512
    var isReadOnly = false
    var isRemovable = false
    var model: String?
    var serial: String?
    /// Of the disk and all of its partitions.
    var uses: [Use] = []
    /// Names of its partitions.
    var partitions: [String] = []

    var path: String { "/dev/" + name }
}

/// Whether a device may be overwritten. Facts in, reasons out: no I/O.
enum FlashJudge {
    /// Mount points of which a running system does not let go.
    private static let systemMounts: Set<String> = ["/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/etc", "/home"]

    /// Empty: nothing speaks against it.
    /// - Parameter imageBytes: nil while it is not known.
    static func objections(to device: BlockDevice, imageBytes: Int?, allowsPartition: Bool = false) -> [String] {
        var reasons: [String] = []
        if device.isPartition, !allowsPartition {
            reasons.append("is a partition, and an image is for a whole disk (--force-partition if you mean it)")
        }
        if device.isReadOnly { reasons.append("is read-only") }
        if device.sizeBytes == 0 {
            reasons.append("holds no medium")
        } else if let imageBytes, device.sizeBytes < imageBytes {
            reasons.append("is too small: \(device.sizeBytes) bytes for an image of \(imageBytes)")
        }
        return reasons + device.uses.map(objection)
    }

    /// The image's partition table counts in sectors of another size than the device's.
    static func sectorObjection(to device: BlockDevice, imageHead: [UInt8]) -> String? {
        guard let sectorBytes = GPTTable.sectorBytes(of: imageHead), sectorBytes != device.sectorBytes else {
            return nil
        }
        return "has sectors of \(device.sectorBytes) bytes, the image's partition table is for \(sectorBytes)"
    }

    private static func objection(_ use: BlockDevice.Use) -> String {
        switch use {
        case .mounted(let device, let place) where systemMounts.contains(place):
            "holds the running system: \(device) is mounted at \(place)"
        case .mounted(let device, let place): "is in use: \(device) is mounted at \(place) (umount \(place))"
        case .swap(let device): "is in use: the system swaps to \(device) (swapoff /dev/\(device))"
        case .held(let device, let holder): "is in use: \(holder) lies on \(device)"
        case .member(let device, let kind):
            "\(device) is part of \(kind), which is not running (wipefs -a /dev/\(device) if it is not needed)"
        }
    }
}
