/// What the last bytes of an object gave.
public enum FooterOutcome: Sendable, Equatable {
    case complete(ObjectFooter)
    /// The footer is longer than the bytes given: GET the last `tailBytes` of the object and ask again.
    case needMore(tailBytes: Int)
}
