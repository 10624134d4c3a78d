/// What a store was seen to do. ``StoreProbe`` finds out; a client of the store chooses its behaviour by it.
public struct StoreCapabilities: Sendable, Equatable {
    /// Create-only `put` is atomic at the store. Without it ours is HEAD, then PUT: two writers can both be told "created".
    public var conditionalCreate: Bool
    /// The same for objects sent in parts.
    public var conditionalMultipart: Bool
    /// A range is answered with exactly that range.
    public var rangedGet: Bool
    /// Many keys in one delete request.
    public var batchDelete: Bool
    /// A listing begun after a `put` returned has the object.
    public var listAfterWrite: Bool
    /// Listings follow the byte order of whole keys. SeaweedFS and rclone sort directory by directory (`a/` before `a-`).
    public var listInByteOrder: Bool

    public init(
        conditionalCreate: Bool = true, conditionalMultipart: Bool = true, rangedGet: Bool = true,
        batchDelete: Bool = true, listAfterWrite: Bool = true, listInByteOrder: Bool = true
    ) {
        self.conditionalCreate = conditionalCreate
        self.conditionalMultipart = conditionalMultipart
        self.rangedGet = rangedGet
        self.batchDelete = batchDelete
        self.listAfterWrite = listAfterWrite
        self.listInByteOrder = listInByteOrder
    }
}
