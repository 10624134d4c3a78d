import FoundationEssentials
import Glibc
import ObjectStore

/// What is to be written where, found out before anything is written.
struct FlashPlan {
    enum Place {
        case device(BlockDevice)
        case file
    }

    var image: any ImageSource
    var map: BlockMap?
    var mapPath: String?
    var place: Place
    /// What people know it by.
    var path: String

    /// Bytes of the image, if that is known before it was read; of compressed ones at least so many.
    var imageBytes: Int? { map?.imageBytes ?? image.sizeBytes }

    static func make(
        image imagePath: String, map mapChoice: MapChoice, target: String, allowsPartition: Bool
    ) throws(FlashError) -> FlashPlan {
        let image = try ImageFile.open(imagePath)
        let (map, mapPath) = try readMap(mapChoice, imagePath)
        if let map, let raw = image as? RawImage, let size = raw.sizeBytes, size != map.imageBytes {
            throw .badImage(
                "\(imagePath) has \(size) bytes, by \(mapPath ?? "its map") it should have \(map.imageBytes)")
        }
        let place = try place(target, imagePath)
        let plan = FlashPlan(image: image, map: map, mapPath: mapPath, place: place, path: target)
        if case .device(let device) = place {
            let reasons = FlashJudge.objections(
                to: device, imageBytes: plan.imageBytes, allowsPartition: allowsPartition)
            guard reasons.isEmpty else {
                throw .refused(reasons.map { "\(target) \($0)" }.joined(separator: "\ncairn: "))
            }
        }
        return plan
    }

    enum MapChoice: Equatable {
        case beside, none
        case file(String)
    }

    /// `x.img.zst`: `x.img.zst.bmap`, `x.img.bmap`, `x.bmap`, as bmaptool looks for them.
    private static func readMap(_ choice: MapChoice, _ image: String) throws(FlashError) -> (BlockMap?, String?) {
        let path: String
        switch choice {
        case .none: return (nil, nil)
        case .file(let given): path = given
        case .beside:
            guard let found = names(of: image).first(where: { FileManager.default.fileExists(atPath: $0) }) else {
                return (nil, nil)
            }
            path = found
        }
        guard let data = FileManager.default.contents(atPath: path) else { throw .noInput("\(path): \(systemError())") }
        guard data.count <= BlockMap.fileBytesMax else { throw .badImage("\(path): too large for a bmap file") }
        do throws(BlockMap.Flaw) {
            return (try BlockMap(Array(data)), path)
        } catch {
            throw .badImage("\(path): \(error)")
        }
    }

    private static func names(of image: String) -> [String] {
        var stem = image
        var names = [image + ".bmap"]
        for _ in 0..<2 {
            let start = stem.lastIndex(of: "/").map { stem.index(after: $0) } ?? stem.startIndex
            guard let dot = stem[start...].lastIndex(of: "."), dot > start else { break }
            stem = String(stem[..<dot])
            names.append(stem + ".bmap")
        }
        return names
    }

    private static func place(_ target: String, _ image: String) throws(FlashError) -> Place {
        var facts = stat()
        guard stat(target, &facts) == 0 else {
            guard errno == ENOENT, !target.hasPrefix("/dev/") else { throw .noInput("\(target): \(systemError())") }
            return .file
        }
        var own = stat()
        if stat(image, &own) == 0, own.st_dev == facts.st_dev, own.st_ino == facts.st_ino {
            throw .refused("\(target) is the image itself")
        }
        switch facts.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFBLK:
            let number = deviceNumber(facts.st_rdev)
            guard let device = SystemTree().device(number: number) else {
                throw .refused("\(target): the kernel does not show device \(number) in /sys/block")
            }
            return .device(MemberSignature.added(to: device))
        default: throw .refused("\(target) is neither a disk nor a file")
        }
    }

    /// `major:minor`. Source: gnu_dev_major of glibc's sys/sysmacros.h.
    private static func deviceNumber(_ number: dev_t) -> String {
        let major = (number >> 8 & 0xFFF) | (number >> 32 & ~0xFFF)
        let minor = (number & 0xFF) | (number >> 12 & ~0xFF)
        return "\(major):\(minor)"
    }
}

/// Parts of LVM and of software RAID that nobody uses now: what is on them may be the only copy.
enum MemberSignature {
    static func added(to device: BlockDevice) -> BlockDevice {
        var device = device
        for name in [device.name] + device.partitions {
            if let kind = found(in: head("/dev/" + name)), !device.uses.contains(where: { isHeld($0, name) }) {
                device.uses.append(.member(device: name, of: kind))
            }
        }
        return device
    }

    /// LVM2 labels one of the first four sectors; md keeps version 1.1 at the start and 1.2 at 4 KiB.
    /// Source: lib/format_text/layout.h of LVM2; drivers/md/md.c of Linux (magic 0xa92b4efc).
    static func found(in head: [UInt8]) -> String? {
        for sector in stride(from: 0, to: 2048, by: 512) where head.dropFirst(sector).starts(with: "LABELONE".utf8) {
            if head.dropFirst(sector + 24).starts(with: "LVM2 001".utf8) { return "LVM" }
        }
        let magic: [UInt8] = [0xFC, 0x4E, 0x2B, 0xA9]
        return [0, 4096].contains { head.dropFirst($0).starts(with: magic) } ? "RAID" : nil
    }

    private static func isHeld(_ use: BlockDevice.Use, _ name: String) -> Bool {
        if case .held(name, _) = use { true } else { false }
    }

    private static func head(_ path: String) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        return [UInt8](unsafeUninitializedCapacity: 8192) { buffer, count in
            count = readFully(descriptor, UnsafeMutableRawBufferPointer(buffer), at: 0) ?? 0
        }
    }
}
