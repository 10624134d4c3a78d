import Cloud

/// What an administrator asks of a cloud node: the JSON of `POST /v1/sites`.
struct SiteOrder: Codable, Sendable, Equatable {
    enum Action: String, Codable, Sendable {
        case add, revoke, rotate, grant, set, retry, fence
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
}
