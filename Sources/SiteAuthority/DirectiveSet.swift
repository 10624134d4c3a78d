/// What a site was told last, and what became of it. Facts in, changes out: no I/O.
public struct DirectiveSet: Codable, Sendable, Equatable {
    /// 0: it was never told anything.
    public private(set) var version: UInt64 = 0
    public private(set) var values: [String: String] = [:]
    /// With the reason.
    public private(set) var refused: [String: String] = [:]

    private static let valuesMax = 1_000
    private static let refusedMax = 50

    public init() {}

    /// What to do for one directive. Nil as a value: go back to what the configuration says.
    public struct Change: Sendable, Equatable {
        public var name: String
        /// The one to apply, or the one that is taken back.
        public var directive: Directive
        public var isTakenBack: Bool
    }

    /// New values of another version; of the same one nothing is to do. Older versions are taken too: the cloud decides.
    public mutating func told(_ new: [String: String], version: UInt64) -> [Change] {
        guard version != self.version else { return [] }
        let former = values
        self.version = version
        values = new.count <= Self.valuesMax ? new : [:]
        refused = new.count <= Self.valuesMax ? [:] : ["*": "more than \(Self.valuesMax) directives"]
        return changes(from: former)
    }

    /// Everything again, after a start.
    public mutating func again() -> [Change] {
        refused = [:]
        return changes(from: [:])
    }

    /// The update that is told, and whether it is to wait.
    public var update: (order: UpdateOrder?, isPaused: Bool) {
        (values["update"].flatMap { UpdateOrder($0) }, values["update.paused"] == "yes")
    }

    /// A directive of this version could not be applied.
    public mutating func refuse(_ name: String, _ reason: String) {
        guard values[name] != nil, refused.count < Self.refusedMax else { return }
        refused[name] = String(reason.prefix(120))
    }

    private mutating func changes(from former: [String: String]) -> [Change] {
        var changes: [Change] = []
        for (name, value) in former.sorted(by: { $0.key < $1.key }) where values[name] == nil {
            guard let directive = Directive(name, value) else { continue }
            changes.append(Change(name: name, directive: directive, isTakenBack: true))
        }
        for (name, value) in values.sorted(by: { $0.key < $1.key }) where former[name] != value {
            if let directive = Directive(name, value) {
                changes.append(Change(name: name, directive: directive, isTakenBack: false))
            }
        }
        for (name, value) in values where Directive(name, value) == nil {
            refuse(name, "this gateway does not know it, or not this value")
        }
        return changes
    }
}
