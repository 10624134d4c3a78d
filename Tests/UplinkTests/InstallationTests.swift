import FoundationEssentials
import Testing
import WriteAheadLog

@testable import Uplink

/// "Restoring a disk image must not reuse sequence numbers" (field practice, Clone/RMA).
@Suite("Installation: whose sequences these are") struct InstallationTests {
    private let a = String(repeating: "a", count: 32)
    private let b = String(repeating: "b", count: 32)

    private func identity(_ installation: Installation) -> UplinkIdentity {
        UplinkIdentity(site: "quarry", eras: installation.eras)!
    }

    private func place(_ installation: Installation, _ lane: String, _ sequence: UInt64) -> String {
        let place = identity(installation).place(lane: lane, sequence: sequence)
        return "\(place.incarnation.prefix(1))\(place.sequence)"
    }

    @Test("a start counts; another machine and another root are doubts, an unknown machine is none")
    func starts() {
        var installation = Installation(root: a, machine: "m1")
        let doubts = [(a, "m1"), (a, ""), (a, "m2"), (a, "m2"), (b, "m2")].map { root, machine in
            installation.start(root: root, machine: machine)
        }
        #expect(doubts == [nil, nil, .otherMachine, nil, .otherRoot])
        #expect(installation.boot == 5)
        var unbound = Installation(root: a, machine: "")
        let later = [unbound.start(root: a, machine: "m1"), unbound.start(root: a, machine: "m2")]
        #expect(later == [nil, .otherMachine])
    }

    @Test("objects count from 1 in each era; an open plan keeps its name until it is given up")
    func eras() {
        var installation = Installation(root: a, machine: "")
        #expect(place(installation, "bulk", 7) == "a7")
        let open = UploadPlan(sequence: 7, firstLSN: 61, lastLSN: 70)
        installation.goOn(
            as: b, lanes: ["bulk": UploadState(nextSequence: 8, uploadedThrough: 60, openPlans: [open])])
        #expect(place(installation, "bulk", 7) == "a7")
        #expect(place(installation, "bulk", 8) == "b1")
        #expect(place(installation, "standard", 1) == "b1")  // a lane without objects before
        let isGivenUp = installation.giveUp(plan: 7, of: "bulk")
        #expect(isGivenUp)
        #expect(place(installation, "bulk", 7) == "b1")
        #expect(place(installation, "bulk", 8) == "b2")
        #expect(place(installation, "bulk", 6) == "a6")
        // The plan is of the newest era now: that one is contested too.
        let again = [installation.giveUp(plan: 7, of: "bulk"), installation.giveUp(plan: 1, of: "standard")]
        #expect(again == [false, false])
        #expect(installation.incarnation == b)
    }

    @Test("no two plans of a lane ever share a name, whatever happens", arguments: 0..<50 as Range<UInt64>)
    func unique(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var installation = Installation(root: String(repeating: "0", count: 32), machine: "")
        var next: UInt64 = 1
        var stored: Set<String> = []
        for step in 0..<300 {
            let isOpen = Bool.random(using: &random)
            if Int.random(in: 0..<10, using: &random) == 0 {
                let digits = String(step, radix: 16)
                let name = String(repeating: "0", count: 31 - digits.count) + digits + "f"
                installation.goOn(as: name, lanes: ["l": UploadState(nextSequence: next + (isOpen ? 1 : 0))])
                if isOpen, Bool.random(using: &random) { _ = installation.giveUp(plan: next, of: "l") }
            }
            // One object at a time: the plan `next` is stored under the name it has now.
            let place = identity(installation).place(lane: "l", sequence: next)
            #expect(stored.insert("\(place)").inserted, "seed \(seed) step \(step)")
            #expect(place.sequence >= 1)
            next += 1
            let read = Installation(text: installation.text)
            #expect(read == installation, "seed \(seed)")
        }
    }

    @Test("every cut and every flipped byte of the file is noticed")
    func damaged() {
        var installation = Installation(root: a, machine: "m")
        _ = installation.start(root: a, machine: "m")
        installation.goOn(as: b, lanes: ["bulk": UploadState(nextSequence: 8), "x": UploadState(nextSequence: 1)])
        let bytes = Array(installation.text.utf8)
        #expect(Installation(text: installation.text) == installation)
        for length in 0..<bytes.count {
            #expect(Installation(text: String(decoding: bytes.prefix(length), as: UTF8.self)) == nil)
        }
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 1
            #expect(Installation(text: String(decoding: flipped, as: UTF8.self)) == nil, "byte \(index)")
        }
    }

    @Test(
        "on the disk: starts count on, a broken file is put aside, a directory that cannot be written is no reason to stop"
    )
    func file() throws {
        let directory = FileManager.default.temporaryDirectory.appending(
            path: "cairn-installation-\(UInt64.random(in: 0 ... .max))"
        ).path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = InstallationFile(directory: directory)
        let lanes = ["bulk": UploadState(nextSequence: 5)]
        #expect(file.open(root: a, machine: "m", lanes: lanes).installation.boot == 1)
        let second = file.open(root: a, machine: "m", lanes: lanes)
        #expect(second.installation.boot == 2)
        #expect(second.installation.incarnation == a)
        #expect(second.doubt == nil && second.failure == nil)
        // One of the two is enough, whichever it is.
        let torn = "cairn installation 1\nroot"
        try torn.write(toFile: file.path, atomically: false, encoding: .utf8)
        let healed = file.open(root: a, machine: "m", lanes: lanes)
        #expect(healed.doubt == nil && healed.installation.boot == 3)
        try FileManager.default.removeItem(atPath: file.path)
        #expect(file.open(root: a, machine: "m", lanes: lanes).installation.boot == 4)
        for path in [file.path, file.path + ".copy"] {
            try torn.write(toFile: path, atomically: false, encoding: .utf8)
        }
        let third = file.open(root: a, machine: "m", lanes: lanes)
        guard case .forgotten = third.doubt else {
            Issue.record("\(third)")
            return
        }
        #expect(third.installation.incarnation != a)
        #expect(third.installation.eras.last?.bases == ["bulk": 4])
        #expect(FileManager.default.fileExists(atPath: file.path + ".broken"))
        let moved = file.open(root: a, machine: "other", lanes: lanes)
        #expect(moved.doubt == .otherMachine)
        #expect(moved.installation.incarnation != third.installation.incarnation)
        let nowhere = InstallationFile(directory: directory + "/none").open(root: a, machine: "m", lanes: lanes)
        #expect(nowhere.failure != nil)
        #expect(nowhere.installation.incarnation == a)
    }

    @Test("a fingerprint follows the files' content, and is none without any")
    func fingerprint() throws {
        let path = FileManager.default.temporaryDirectory.appending(
            path: "cairn-machine-\(UInt64.random(in: 0 ... .max))"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(MachineFingerprint.read([path]) == "")
        try "one\n".write(toFile: path, atomically: false, encoding: .utf8)
        let one = MachineFingerprint.read([path])
        #expect(one.count == 16)
        try "two\n".write(toFile: path, atomically: false, encoding: .utf8)
        #expect(MachineFingerprint.read([path]) != one)
    }
}
