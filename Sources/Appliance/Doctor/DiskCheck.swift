import Glibc
import WriteAheadLog

/// How long the disk takes until a write is durable, and whether it can be believed.
enum DiskCheck {
    static let name = "disk"
    static let engineName = "io_uring"

    /// A flush of flash without a protected cache takes longer than this; faster ones come from memory that a power cut empties,
    /// or from a drive with capacitors.
    static let credibleNs: UInt64 = 30_000
    /// An acknowledgement waits for one write and its flush.
    static let slowNs: UInt64 = 200_000_000

    /// - Parameter cache: `queue/write_cache` of the device in /sys, nil where it is not known.
    static func findings(_ trial: DiskTrial, cache: String?) -> [Finding] {
        [speed(trial.latenciesNs, cache: cache), engine(trial.ringRefusal), direct(trial.directRefusal)].compactMap {
            $0
        }
    }

    static func speed(_ latenciesNs: [UInt64], cache: String?) -> Finding {
        let sorted = latenciesNs.sorted()
        guard let slowest = sorted.last else { return .skipped(name, "no write was made") }
        let median = sorted[sorted.count / 2]
        let late = sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
        let figures =
            "a durable write of 4 KiB takes \(text(median)) (99%: \(text(late)), longest \(text(slowest)), of \(sorted.count))"
            + (cache.map { "; the device says \($0)" } ?? "")
        if median < credibleNs {
            return .warning(
                name, figures + ": faster than flash without a protected cache can be",
                "make sure that the drive has power-loss protection, or that the hypervisor's cache mode is not 'unsafe'; "
                    + "if not, a power cut loses acknowledged records")
        }
        if late > slowNs {
            return .warning(
                name, figures + ": acknowledgements wait as long",
                "use a disk of better endurance class, or raise lanes.NAME.window so that more records share a write")
        }
        return .good(name, figures)
    }

    static func engine(_ refusal: String?) -> Finding {
        guard let refusal else { return .good(engineName, "available") }
        return .warning(
            engineName, "refused (\(refusal)): the log writes with pwrite and fdatasync, which is slower",
            "a kernel from 5.6 on, sysctl kernel.io_uring_disabled=0, and a container profile that permits it")
    }

    static func direct(_ refusal: String?) -> Finding? {
        refusal.map {
            .warning(
                name, "O_DIRECT is refused (\($0)): the log writes through the page cache",
                "ext4, XFS or btrfs on a disk of this machine has it")
        }
    }

    static func failed(_ error: DiskError) -> Finding {
        switch error.errno {
        case ENOSPC, EDQUOT:
            .failure(
                name, "a test write failed, there is no room: \(error)", "free some space, or raise the disk quota")
        case EACCES, EPERM, EROFS:
            .skipped(name, "this user may not write there: \(error)")
        default:
            .failure(name, "a test write failed: \(error)", "look with dmesg and smartctl at the disk")
        }
    }

    /// Microseconds or milliseconds.
    static func text(_ nanoseconds: UInt64) -> String {
        nanoseconds < 1_000_000
            ? "\(nanoseconds / 1_000) µs" : "\(nanoseconds / 1_000_000).\(nanoseconds / 100_000 % 10) ms"
    }

    /// Of the device that holds `path`.
    static func writeCache(of path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let device = "/sys/dev/block/\(deviceNumber(UInt64(status.st_dev)))/"
        // A partition's queue is its disk's.
        for place in [device + "queue/write_cache", device + "../queue/write_cache"] {
            if let text = SmallText.read(place) { return text }
        }
        return nil
    }

    /// `major:minor`, as <sys/sysmacros.h> takes them apart.
    static func deviceNumber(_ device: UInt64) -> String {
        let major = (device >> 8) & 0xfff | (device >> 32) & 0xffff_f000
        let minor = device & 0xff | (device >> 12) & 0xffff_ff00
        return "\(major):\(minor)"
    }
}
