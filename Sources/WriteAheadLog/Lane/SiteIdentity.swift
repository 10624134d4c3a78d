import Glibc

/// Which installation this is: 32 hexadecimal digits made once and kept in `<root>/incarnation`, and once more in
/// `<root>/incarnation.copy`.
///
/// A wiped disk gets a new one, so that its LSNs and object sequences, which begin again, meet nothing of the old ones. That
/// is also why it is kept twice: with a new one in front of old lanes, their next objects would continue nothing the
/// cloud knows. Power cuts have left files of zeros behind on SD cards (mosquitto #2639).
public struct SiteIdentity: Sendable, Equatable {
    public let incarnation: String
    /// What was wrong with the files that were there, when something was.
    public let replaced: String?

    private static let fileName = "incarnation"
    private static let copyName = "incarnation.copy"
    private static let digitCount = 32

    /// Reads the identity under `root`, or makes one: file and directory are synced before it is used. A file that is
    /// broken, missing or unreadable is made again from the other one; with both broken they are put aside as `….broken`
    /// and a new identity is made. Throws only when one has to be made and cannot be written.
    public static func open(root: String) throws(WALError) -> SiteIdentity {
        do throws(DiskError) {
            try makeDirectories(root)
            let (path, copy) = (root + "/" + fileName, root + "/" + copyName)
            let (first, second) = (read(path), read(copy))
            if case .good(let incarnation) = first {
                var trouble: String?
                if case .good(incarnation) = second {} else { trouble = restore(incarnation, copy, second) }
                return SiteIdentity(incarnation: incarnation, replaced: trouble)
            }
            if case .good(let incarnation) = second {
                return SiteIdentity(incarnation: incarnation, replaced: restore(incarnation, path, first))
            }
            // Starting never refuses: what is broken is kept beside the new ones.
            let reason = [putAside(path, first), putAside(copy, second)].compactMap { $0 }.joined(separator: "; ")
            let incarnation = (0..<2).map { _ in hexadecimal(UInt64.random(in: .min ... .max)) }.joined()
            try replaceSynced(copy, with: incarnation + "\n")
            try replaceSynced(path, with: incarnation + "\n")
            return SiteIdentity(incarnation: incarnation, replaced: reason.isEmpty ? nil : reason)
        } catch {
            throw .io(error)
        }
    }

    private enum Content {
        case good(String)
        case missing
        case bad(String)
    }

    private static func read(_ path: String) -> Content {
        do throws(DiskError) {
            guard let text = try readSmallFile(path) else { return .missing }
            return isValid(text) ? .good(text) : .bad("\(path) held \(text.utf8.count) bytes that are no incarnation")
        } catch {
            return .bad(error.description)
        }
    }

    /// Writes the good one over what is not. A failure is told and costs nothing: the good one is still there. A copy that
    /// was never made, by an older program, is no trouble.
    private static func restore(_ incarnation: String, _ path: String, _ found: Content) -> String? {
        var trouble: String?
        switch found {
        case .bad(let reason): trouble = reason + "; restored from the other copy"
        case .good(let other): trouble = "\(path) said \(other); the other copy counts"
        case .missing: trouble = path.hasSuffix(copyName) ? nil : "\(path) was missing; restored from its copy"
        }
        do throws(DiskError) {
            try replaceSynced(path, with: incarnation + "\n")
            return trouble
        } catch {
            return trouble.map { "\($0): \(error)" } ?? "\(error)"
        }
    }

    private static func putAside(_ path: String, _ found: Content) -> String? {
        guard case .bad(let reason) = found else { return nil }
        rename(path, path + ".broken")
        return reason
    }

    private static func isValid(_ text: String) -> Bool {
        text.utf8.count == digitCount
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
