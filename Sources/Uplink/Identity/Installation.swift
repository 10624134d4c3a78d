public import WriteAheadLog

/// Under which names one installation of a gateway has written objects, and how often it has started.
///
/// An incarnation is a promise that nobody else writes under its sequences. When that is in doubt (the disk came into another
/// machine, the cloud knows another holder, another object stands under a planned key), the installation goes on under a new
/// incarnation, whose objects count from 1 again: an era. What is in the log and in no object goes up under the new one, so
/// nothing is lost; of a copied disk, what it had not uploaded when it was copied may go up twice.
public struct Installation: Sendable, Equatable {
    public struct Era: Sendable, Equatable {
        public var incarnation: String
        /// By lane, the last plan of the log that belongs to the eras before; 0 where there is none.
        public var bases: [String: UInt64]

        public init(incarnation: String, bases: [String: UInt64] = [:]) {
            self.incarnation = incarnation
            self.bases = bases
        }
    }

    /// The oldest first; at least one.
    public private(set) var eras: [Era]
    /// Starts, this one included.
    public private(set) var boot: UInt64
    /// Fingerprint of the machine, empty where it has none.
    public private(set) var machine: String
    /// What the file `incarnation` said at the last start.
    public private(set) var root: String

    static let erasMax = 64

    public init(root: String, machine: String) {
        eras = [Era(incarnation: root)]
        boot = 0
        self.machine = machine
        self.root = root
    }

    public var incarnation: String { eras[eras.count - 1].incarnation }

    /// Why a start must go on under a new incarnation.
    public enum Doubt: Sendable, Equatable, CustomStringConvertible {
        case otherMachine
        case otherRoot
        /// The file that says what was used is not readable.
        case forgotten(String)

        public var description: String {
            switch self {
            case .otherMachine: "the disk is in another machine than before: moved, re-imaged or copied"
            case .otherRoot: "the file 'incarnation' is another one than at the last start"
            case .forgotten(let why): "the file 'installation' cannot be used: \(why)"
            }
        }
    }

    /// One more start. Call ``goOn(as:lanes:)`` where it returns a doubt.
    public mutating func start(root: String, machine: String) -> Doubt? {
        boot += 1
        defer {
            self.root = root
            // A machine that cannot be told (the file is not there any more) stays the one it was.
            if !machine.isEmpty { self.machine = machine }
        }
        if root != self.root { return .otherRoot }
        return !machine.isEmpty && !self.machine.isEmpty && machine != self.machine ? .otherMachine : nil
    }

    /// What a start found of the installation before.
    enum Found: Sendable, Equatable {
        case absent
        case found(Installation)
        case broken(String)

        /// What file and copy say, nil for one that is not there. The copy counts where the file cannot be used: it may be older by one
        /// change, which is found out like a disk that was set back.
        init(text: String?, copy: String?) {
            if let installation = [text, copy].lazy.compactMap({ $0.flatMap(Installation.init(text:)) }).first {
                self = .found(installation)
            } else if let text = text ?? copy {
                self = .broken("\(text.utf8.count) bytes that are no installation")
            } else {
                self = .absent
            }
        }
    }

    /// One more start, by what is left of the ones before. Never refuses: in doubt it goes on under `incarnation`, a name that
    /// nobody else has.
    /// - Parameter root: what the file `incarnation` says.
    static func started(
        from found: Found, root: String, machine: String, lanes: [String: UploadState], incarnation: String
    ) -> (installation: Installation, doubt: Doubt?) {
        var installation = Installation(root: root, machine: machine)
        var doubt: Doubt?
        switch found {
        case .absent: break
        case .found(let former): installation = former
        case .broken(let why): doubt = .forgotten(why)
        }
        doubt = installation.start(root: root, machine: machine) ?? doubt
        if let doubt {
            // A new `incarnation` file is a new name already.
            installation.goOn(as: doubt == .otherRoot ? root : incarnation, lanes: lanes)
        }
        return (installation, doubt)
    }

    /// Everything planned from now on belongs to `incarnation`. Open plans keep their names: the object may be there already,
    /// and a repetition finds it.
    public mutating func goOn(as incarnation: String, lanes: [String: UploadState]) {
        eras.append(Era(incarnation: incarnation, bases: lanes.mapValues { $0.nextSequence - 1 }))
        if eras.count > Self.erasMax { eras.removeFirst(eras.count - Self.erasMax) }
    }

    /// Another object stands under the name of an open plan: that plan, too, belongs to the newest era, which has no object of
    /// this lane yet. False when the plan is of the newest era itself: then a new one is needed.
    public mutating func giveUp(plan sequence: UInt64, of lane: String) -> Bool {
        let last = eras.count - 1
        guard sequence <= eras[last].bases[lane] ?? 0, sequence >= 1 else { return false }
        eras[last].bases[lane] = sequence - 1
        return true
    }
}

extension Installation {
    /// Lines of text; the last one is a checksum over the others.
    var text: String {
        var lines = [
            "cairn installation 1", "root \(root)", "machine \(machine.isEmpty ? "-" : machine)", "boot \(boot)",
        ]
        for era in eras {
            lines.append("era \(era.incarnation)")
            lines += era.bases.sorted { $0.key < $1.key }.map { "base \($0.key) \($0.value)" }
        }
        let body = lines.joined(separator: "\n") + "\n"
        return body + "sum \(Self.sum(body))\n"
    }

    /// Nil for anything that ``text`` does not make.
    init?(text: String) {
        guard let start = text.range(ofLast: "sum "), text.utf8.last == UInt8(ascii: "\n") else { return nil }
        let body = String(text[..<start])
        guard text[start...].dropFirst(4).dropLast() == Self.sum(body) else { return nil }
        var lines = body.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }[...]
        guard lines.popFirst() == ["cairn", "installation", "1"], let root = lines.popFirst(), root.count == 2,
            let machine = lines.popFirst(), machine.count == 2, let boot = lines.popFirst(), boot.count == 2,
            let count = UInt64(boot[1])
        else { return nil }
        self.init(root: root[1], machine: machine[1] == "-" ? "" : machine[1])
        self.boot = count
        eras = []
        for line in lines {
            switch (line.first, line.count) {
            case ("era", 2): eras.append(Era(incarnation: line[1]))
            case ("base", 3):
                guard !eras.isEmpty, let sequence = UInt64(line[2]) else { return nil }
                eras[eras.count - 1].bases[line[1]] = sequence
            default: return nil
            }
        }
        guard !eras.isEmpty else { return nil }
    }

    /// FNV-1a: against torn and edited files, not against anybody.
    private static func sum(_ text: String) -> String {
        let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

extension String {
    /// Where the last line begins that begins with `prefix`.
    fileprivate func range(ofLast prefix: String) -> String.Index? {
        guard !isEmpty else { return nil }
        let end = index(before: endIndex)
        let start = self[..<end].lastIndex(of: "\n").map { index(after: $0) } ?? startIndex
        return self[start...].hasPrefix(prefix) ? start : nil
    }
}
