/// Seals the groups of one segment, one after the other and in place. One owner; nothing is allocated for a group.
///
/// A group's nonce is its place in the segment's file. Two messages would have the same only if two groups were sealed for one place
/// with one data key: the places given to ``begin(at:bound:)`` must rise, which is checked.
public final class GroupSealer {
    public let key: LogKey
    private let cipher: GCMCipher
    private var offsetBytes = 0
    /// No group before this place may be sealed any more.
    private var floorBytes = 0
    public static let tagBytes = GCMCipher.tagBytes

    public init(_ key: LogKey) {
        self.key = key
        cipher = GCMCipher(key.dataKey, .seal)
    }

    /// Begins the group at `offsetBytes` of the file. `bound` is checked with it and not stored. One that is not finished leaves
    /// its place free: nothing of it may be written.
    public func begin(at offsetBytes: Int, bound: UnsafeRawBufferPointer) {
        precondition(offsetBytes >= floorBytes, "a group at \(offsetBytes), sealed through \(floorBytes)")
        self.offsetBytes = offsetBytes
        cipher.begin(nonce: GCMNonce(offsetBytes: offsetBytes))
        cipher.bind(bound)
    }

    /// The next bytes of the group, in place.
    public func seal(_ bytes: UnsafeMutableRawBufferPointer) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        cipher.update(UnsafeRawBufferPointer(bytes), into: base)
    }

    /// Ends the group: writes its tag, ``tagBytes``.
    public func finish(tag: UnsafeMutableRawPointer) {
        cipher.finishSealing(tag: tag)
        floorBytes = offsetBytes + 1
    }
}

/// Opens groups of one segment, in any order. One owner.
public final class GroupOpener {
    private let cipher: GCMCipher

    public init(_ key: LogKey) { cipher = GCMCipher(key.dataKey, .open) }

    /// Begins the group that was sealed for `offsetBytes` with `bound`.
    public func begin(at offsetBytes: Int, bound: UnsafeRawBufferPointer) {
        cipher.begin(nonce: GCMNonce(offsetBytes: offsetBytes))
        cipher.bind(bound)
    }

    /// The next bytes of the group, as many out as in. They may be used only after ``finish(tag:)`` said so.
    public func open(_ sealed: UnsafeRawBufferPointer, into plain: UnsafeMutableRawPointer) {
        cipher.update(sealed, into: plain)
    }

    /// Whether the group is what was sealed.
    public func finish(tag: UnsafeRawPointer) -> Bool { cipher.finishOpening(tag: tag) }
}

extension GCMNonce {
    /// Of a group: 4 zeros and its place in the file, 8 bytes.
    init(offsetBytes: Int) { self.init(chunk: offsetBytes, isLast: false) }
}
