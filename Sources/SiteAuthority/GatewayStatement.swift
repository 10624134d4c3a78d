/// What a gateway says of itself with each announcement: the field `gateway` of the JSON body.
public struct GatewayStatement: Codable, Sendable, Hashable {
    /// Starts of this installation, counted on its disk.
    public var boot: UInt64
    /// Random name of this start, 32 hexadecimal digits.
    public var nonce: String
    /// Host name, for people.
    public var host: String
    /// Version of the directives that are in force; 0 for none.
    public var directives: UInt64
    /// Directives of that version that were not applied, each with the reason.
    public var refused: [String: String]
    /// For which objects permissions to put are wanted, by lane; empty for a gateway with keys of its own.
    public var wants: [String: PutWish]
    /// Image and update; nil from gateways that know of neither.
    public var update: UpdateReport?

    public init(
        boot: UInt64, nonce: String, host: String, directives: UInt64 = 0, refused: [String: String] = [:],
        wants: [String: PutWish] = [:], update: UpdateReport? = nil
    ) {
        self.boot = boot
        self.nonce = nonce
        self.host = host
        self.directives = directives
        self.refused = refused
        self.wants = wants
        self.update = update
    }
}

/// Which objects of a lane a gateway asks permission to put.
public struct PutWish: Codable, Sendable, Hashable {
    /// Under which the objects stand: an open plan may be of a former one.
    public var incarnation: String
    public var from: UInt64
    public var count: Int
    /// An object whose torn beginning the store kept, to be put over it.
    public var replacing: UInt64?

    public static let countMax = 1_000

    public init(incarnation: String, from: UInt64, count: Int, replacing: UInt64? = nil) {
        self.incarnation = incarnation
        self.from = from
        self.count = count
        self.replacing = replacing
    }
}

/// Permission to create some objects of one lane and to read them back, without any key: presigned URLs, told apart only
/// by the last path component and the signature. Secret.
public struct PutGrant: Codable, Sendable, Hashable {
    public var incarnation: String
    public var lane: String
    /// Of the first signature; the others follow one by one.
    public var from: UInt64
    /// URL up to the sequence.
    public var base: String
    /// Query up to the signature, of PUT and of GET.
    public var put: String
    public var get: String
    public var putSignatures: [String]
    public var getSignatures: [String]
    /// Valid for so long from the reply on.
    public var seconds: Int
    /// Puts over what is there instead of creating only.
    public var overwrites: Bool

    public init(
        incarnation: String, lane: String, from: UInt64, base: String, put: String, get: String,
        putSignatures: [String],
        getSignatures: [String], seconds: Int, overwrites: Bool
    ) {
        self.incarnation = incarnation
        self.lane = lane
        self.from = from
        self.base = base
        self.put = put
        self.get = get
        self.putSignatures = putSignatures
        self.getSignatures = getSignatures
        self.seconds = seconds
        self.overwrites = overwrites
    }
}
