import Cloud

/// What an administrator asks of a cloud node: the JSON of `POST /v1/sites`.
struct SiteOrder: Codable, Sendable, Equatable {
    enum Action: String, Codable, Sendable {
        case add, revoke, rotate, grant, set, retry, fence
        /// Tells a site which bundle to install.
        case update
        /// Asks where a bundle is to be put; about no site.
        case upload
        /// Asks which bundles there are; about no site.
        case bundles
    }

    /// A bundle in the store.
    struct Bundle: Codable, Sendable, Equatable {
        var key: String
        var sizeBytes: Int
        var sha256: String
        var version: String
        /// Also a site that is told the same already.
        var again = false
    }

    var action: Action
    var site: String
    var topics: [String]?
    var lanes: [String]?
    /// Of `rotate`: how long older keys stay valid.
    var overlapSeconds: Int64?
    /// Of `set`: directives to set and to remove.
    var values: [String: String]?
    var removes: [String]?
    /// Of `fence`.
    var incarnation: String?
    /// Of `update` and `upload`. A size of 0: what the store says.
    var bundle: Bundle?

    init(_ action: Action, site: String) {
        self.action = action
        self.site = site
    }
}

/// The answer: for `add` and `rotate` what the gateway must know.
struct SiteOrderReply: Codable, Sendable, Equatable {
    struct Store: Codable, Sendable, Equatable {
        var url: String
        var endpoint: String
        var region: String
        var pathStyle: Bool
        /// PEM; nil: gateways trust what their system trusts.
        var authorities: String?
    }

    var site: String
    /// The new key, shown here and never again.
    var key: String?
    var announce: [String]?
    /// Of these addresses, PEM; nil: gateways trust what their system trusts.
    var announceAuthorities: String?
    var store: Store?
    var error: String?
    /// Of `upload`: where to PUT the bundle, with which headers; nil when the store holds it already.
    var uploadURL: String?
    var uploadHeaders: [String: String]?
    /// Of `upload`: the store holds the bundle already.
    var isStored: Bool?
    /// Of `update`: false where the site is told the same already.
    var isNew: Bool?
    /// Of `bundles`: the newest first.
    var bundles: [StoredBundle]?

    /// A bundle in the store.
    struct StoredBundle: Codable, Sendable, Equatable {
        var key: String
        var sizeBytes: Int
        /// Nil: the store does not say.
        var modifiedMs: Int64?
        /// As the sites are told; nil when none is.
        var version: String?
        /// Who is told to install it.
        var sites: [String]
        /// It is deleted next time.
        var isGoing: Bool
    }
}
