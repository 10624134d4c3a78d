import FoundationEssentials
public import NIOCore
public import SharedObject
public import SiteAuthority

/// What a gateway tells any cloud node after an object is durable in the store: the body of `POST /v1/announce`.
///
/// Only a hint where to look: the cloud reads the object's footer itself and walks forward from the last object it has
/// adopted, so the newest announcement of a lane stands for all before it. After a restart `firstLSN` is not known and
/// equals `lastLSN`.
public struct Announcement: Codable, Sendable, Hashable {
    public var site: String
    public var incarnation: String
    public var lane: String
    public var sequence: UInt64
    public var key: String
    public var firstLSN: UInt64
    public var lastLSN: UInt64

    public init(
        site: String, incarnation: String, lane: String, sequence: UInt64, key: String, firstLSN: UInt64,
        lastLSN: UInt64
    ) {
        self.site = site
        self.incarnation = incarnation
        self.lane = lane
        self.sequence = sequence
        self.key = key
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
    }

    /// Nil when a name is not allowed or `key` is not the key of the other fields: nothing to look at.
    public var objectKey: SiteObjectKey? {
        SiteObjectKey(parsing: key).flatMap { parsed in
            parsed == SiteObjectKey(site: site, incarnation: incarnation, lane: lane, sequence: sequence)
                ? parsed : nil
        }
    }
}

/// The answer of the cloud node: how far it has adopted, and what the site should know.
public struct AnnounceReply: Codable, Sendable, Hashable {
    /// Lane to the sequence of the last object adopted of this site and incarnation.
    public var adopted: [String: UInt64]
    /// Settings the cloud has for the site; a gateway ignores those it does not know.
    public var directives: [String: String]
    /// Counts changes of `directives`; nil from a cloud that has none for the site.
    public var directivesVersion: UInt64?
    /// Permissions to put objects, for a gateway without keys.
    public var grants: [PutGrant]?
    /// Where the object of the directive `update` can be read, for a gateway without keys. Secret.
    public var updateURL: String?

    public init(
        adopted: [String: UInt64], directives: [String: String] = [:], directivesVersion: UInt64? = nil,
        grants: [PutGrant]? = nil, updateURL: String? = nil
    ) {
        self.adopted = adopted
        self.directives = directives
        self.directivesVersion = directivesVersion
        self.grants = grants
        self.updateURL = updateURL
    }
}

/// The body of `POST /v1/announce`: an announcement, what the gateway says of itself, or both. Without an announcement it is
/// a greeting, which a gateway sends before its first upload.
public struct AnnounceRequest: Codable, Sendable, Hashable {
    public var site: String
    public var incarnation: String
    public var announcement: Announcement?
    public var gateway: GatewayStatement?

    public init(site: String, incarnation: String, announcement: Announcement?, gateway: GatewayStatement?) {
        self.site = site
        self.incarnation = incarnation
        self.announcement = announcement
        self.gateway = gateway
    }

    private enum Field: String, CodingKey { case site, incarnation, key, gateway }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        gateway = try fields.decodeIfPresent(GatewayStatement.self, forKey: .gateway)
        announcement = fields.contains(.key) ? try Announcement(from: decoder) : nil
        site = try fields.decode(String.self, forKey: .site)
        // Of the announced object it is in the announcement; the gateway may have gone on under another one.
        incarnation = try fields.decode(String.self, forKey: .incarnation)
    }

    public func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Field.self)
        try announcement?.encode(to: encoder)
        try fields.encode(site, forKey: .site)
        try fields.encode(incarnation, forKey: .incarnation)
        try fields.encodeIfPresent(gateway, forKey: .gateway)
    }
}

/// The JSON of announcements and replies. Not a hot path: one of each per uploaded object.
public enum AnnounceCoding {
    /// No cloud node reads a longer request, no gateway a longer reply (which may hold a thousand permissions to put).
    public static let bodyBytesMax = 16 << 10
    public static let replyBytesMax = 512 << 10

    public static func encode(_ announcement: Announcement) -> ByteBuffer { json(announcement) }
    public static func encode(_ request: AnnounceRequest) -> ByteBuffer { json(request) }
    public static func encode(_ reply: AnnounceReply) -> ByteBuffer { json(reply) }

    /// Nil if the bytes are not such JSON or longer than ``bodyBytesMax``.
    public static func announcement(_ body: ByteBuffer) -> Announcement? { value(body) }
    public static func request(_ body: ByteBuffer) -> AnnounceRequest? { value(body) }
    public static func reply(_ body: ByteBuffer) -> AnnounceReply? { value(body, bytesMax: replyBytesMax) }

    private static func json(_ value: some Encodable) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and integers always encode.
        guard let data = try? encoder.encode(value) else { return ByteBuffer() }
        return ByteBuffer(bytes: data)
    }

    private static func value<T: Decodable>(_ body: ByteBuffer, bytesMax: Int = bodyBytesMax) -> T? {
        guard body.readableBytes <= bytesMax else { return nil }
        return try? JSONDecoder().decode(T.self, from: Data(body.readableBytesView))
    }
}
