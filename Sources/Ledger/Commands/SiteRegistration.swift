/// What a registered site may do, and with which keys it proves that it is that site.
///
/// The keys themselves are not here: a cloud node derives them from its master key and the salt, so that neither the ledger
/// nor its snapshots hold anything that opens a door. The fingerprint tells whether the right master key was used.
public struct SiteRegistration: Sendable, Equatable {
    /// One generation of the site's key. Several are valid while a rotation lasts.
    public struct Key: Sendable, Equatable {
        /// From 1, never given twice.
        public var generation: UInt32
        /// Hexadecimal digits, random.
        public var salt: String
        /// Of the derived key, hexadecimal digits.
        public var fingerprint: String
        public var createdMs: Int64
        /// When it stops being valid by the cloud's clock; 0 for never.
        public var expiresMs: Int64

        public init(generation: UInt32, salt: String, fingerprint: String, createdMs: Int64, expiresMs: Int64 = 0) {
            self.generation = generation
            self.salt = salt
            self.fingerprint = fingerprint
            self.createdMs = createdMs
            self.expiresMs = expiresMs
        }

        public func isValid(nowMs: Int64) -> Bool { expiresMs == 0 || nowMs < expiresMs }
    }

    /// Counts the changes, from 1. A change names the version that it was made from.
    public var version: UInt64
    public var isRevoked: Bool
    /// Topics the site may write to: `name`, `name*` or `*`. None: nothing is allowed.
    public var topics: [String]
    /// Lanes the site may use; empty for all.
    public var lanes: [String]
    public var keys: [Key]
    /// What the site is told with each answer, by name.
    public var directives: [String: String]
    /// The version at which `directives` changed last; the gateway reports it back.
    public var directivesVersion: UInt64
    public var createdMs: Int64
    public var changedMs: Int64

    public init(topics: [String], lanes: [String] = [], keys: [Key], nowMs: Int64) {
        version = 1
        isRevoked = false
        self.topics = topics
        self.lanes = lanes
        self.keys = keys
        directives = [:]
        directivesVersion = 0
        createdMs = nowMs
        changedMs = nowMs
    }

    public func allows(topic: String) -> Bool { topics.contains { SiteRegistration.pattern($0, matches: topic) } }

    public func allows(lane: String) -> Bool { lanes.isEmpty || lanes.contains(lane) }

    /// `name` (exactly), `name*` (begins with) or `*`.
    public static func pattern(_ pattern: String, matches topic: String) -> Bool {
        pattern.utf8.last == UInt8(ascii: "*")
            ? topic.utf8.starts(with: pattern.utf8.dropLast()) : pattern == topic
    }

    /// Gives `key` out as the newest. Older ones stay valid for `overlapMs`, and those that are over are dropped.
    public mutating func rotate(to key: Key, overlapMs: Int64, nowMs: Int64) {
        keys.removeAll { !$0.isValid(nowMs: nowMs) }
        let endMs = nowMs.addingReportingOverflow(max(0, overlapMs))
        for index in keys.indices {
            let expiresMs = endMs.overflow ? Int64.max : endMs.partialValue
            keys[index].expiresMs = keys[index].expiresMs == 0 ? expiresMs : min(keys[index].expiresMs, expiresMs)
        }
        keys.append(key)
        if keys.count > Self.keysMax { keys.removeFirst(keys.count - Self.keysMax) }
        change(nowMs: nowMs)
    }

    public mutating func revoke(nowMs: Int64) {
        isRevoked = true
        keys = []
        change(nowMs: nowMs)
    }

    /// Sets and (nil) removes directives.
    public mutating func direct(_ values: [String: String?], nowMs: Int64) {
        for (name, value) in values { directives[name] = value }
        change(nowMs: nowMs)
        directivesVersion = version
    }

    /// Call it after each change of another field.
    public mutating func change(nowMs: Int64) {
        version += 1
        changedMs = nowMs
    }

    public static let keysMax = 8
    public static let patternsMax = 1_000
    public static let directivesMax = 1_000
}

/// Registers a site or changes what it may do. Answer: `.done`.
///
/// `registration.version` is one more than the version it was made from (1 for a new site); otherwise somebody else was
/// faster and the command is refused with `.siteChanged`.
public struct SetSiteRegistration: Sendable, Equatable {
    public var site: String
    public var registration: SiteRegistration
    public var nowMs: Int64

    public init(site: String, registration: SiteRegistration, nowMs: Int64) {
        self.site = site
        self.registration = registration
        self.nowMs = nowMs
    }
}

/// A start of a gateway: what tells an installation from its copy. Answer: `.boot`.
public struct NoteSiteBoot: Sendable, Equatable {
    public var site: String
    public var incarnation: String
    public var boot: SiteBoot
    public var nowMs: Int64

    public init(site: String, incarnation: String, boot: SiteBoot, nowMs: Int64) {
        self.site = site
        self.incarnation = incarnation
        self.boot = boot
        self.nowMs = nowMs
    }
}

/// One life of a gateway process.
public struct SiteBoot: Sendable, Equatable {
    /// Counted on the gateway's disk, one more with each start.
    public var number: UInt64
    /// Random, made at the start and kept nowhere.
    public var nonce: String
    /// Host name and network address, for people.
    public var address: String
    public var seenMs: Int64

    public init(number: UInt64, nonce: String, address: String, seenMs: Int64) {
        self.number = number
        self.nonce = nonce
        self.address = address
        self.seenMs = seenMs
    }
}

public enum BootOutcome: Sendable, Equatable {
    /// The incarnation belongs to this start.
    case held
    /// Another start holds it, so this one is a copy or was set back: it must go on under a new incarnation.
    case contested(holder: SiteBoot)
}
