import NIOCore
import ObjectStore
import Sealing
public import SharedObject

/// Why a site object cannot be adopted as it is.
public enum AdoptionFlaw: Error, Equatable, Sendable {
    /// The key is not one of a site object.
    case badKey
    case format(ObjectFormatError)
    /// Header and key disagree: the object was copied, moved or forged.
    case foreignHeader(field: String)
    /// The ledger refuses it, for example because the site is suspended.
    case refused(String)
    /// Nobody registered the site, and that is needed here.
    case unregistered
    case revoked
    case topicNotAllowed(String)
    case laneNotAllowed
    /// The store says that it must not be read, or that the request can never work.
    case unreadable(String)
}

/// Why adoption could not go on now.
enum AdoptionFailure: Error {
    case flaw(AdoptionFlaw)
    /// There is no such object.
    case missing
    /// The store or the ledger did not work; try again later.
    case busy(String)
}

/// Reads the footer of a site object from the store and holds it against the key. Believes nobody but the store.
struct FooterFetch {
    let store: any ObjectStore
    let world: CloudWorld
    private let retry = RetryPolicy(attemptsMax: 3, base: .milliseconds(100), cap: .seconds(2))

    init(store: any ObjectStore, world: CloudWorld) {
        self.store = store
        self.world = world
    }

    /// - Parameter sizeHint: what a listing or an announcement says; a wrong one costs one more request.
    func footer(_ key: SiteObjectKey, sizeHint: Int?) async throws(AdoptionFailure) -> ObjectFooter {
        if let sizeHint, sizeHint >= 1 {
            do throws(AdoptionFailure) {
                return try await footer(key, sizeBytes: sizeHint)
            } catch .busy(let reason) { throw .busy(reason) } catch {
                // The hint may be wrong: ask for the size.
            }
        }
        guard let info = try await attempt({ () async throws(ObjectStoreError) in try await store.head(key.key) })
        else { throw .missing }
        return try await footer(key, sizeBytes: info.sizeBytes)
    }

    /// Every run, byte by byte.
    func verifyRuns(_ footer: ObjectFooter, key: String) async throws(AdoptionFailure) {
        for run in footer.runs {
            let bytes = try await attempt { () async throws(ObjectStoreError) in
                try await store.get(key, range: run.range)
            }
            do {
                _ = try ObjectReader.verify(run: run, bytes: bytes)
            } catch { throw .flaw(.format(error)) }
        }
    }

    private func footer(_ key: SiteObjectKey, sizeBytes: Int) async throws(AdoptionFailure) -> ObjectFooter {
        var tailBytes = ObjectReader.tailBytes(objectSizeBytes: sizeBytes)
        // The reader asks for more at most once; the second bound is for a reader that is wrong.
        for _ in 0..<3 {
            guard tailBytes >= 1, tailBytes <= sizeBytes else { break }
            let range = sizeBytes - tailBytes..<sizeBytes
            let tail = try await attempt { () async throws(ObjectStoreError) in
                try await store.get(key.key, range: range)
            }
            let outcome: FooterOutcome
            do {
                outcome = try ObjectReader.footer(tail: tail, objectSizeBytes: sizeBytes)
            } catch { throw .flaw(await flaw(error, key.key)) }
            switch outcome {
            case .complete(let footer):
                if let field = foreignField(footer.header, key) { throw .flaw(.foreignHeader(field: field)) }
                return footer
            case .needMore(let bytes): tailBytes = bytes
            }
        }
        throw .flaw(.format(.truncated(part: "footer", neededBytes: tailBytes, availableBytes: sizeBytes)))
    }

    /// A sealed object looks like any other file to a node without keys: say what is missing.
    private func flaw(_ error: ObjectFormatError, _ key: String) async -> AdoptionFlaw {
        guard case .notAnObject = error, let start = try? await store.get(key, range: 0..<SealedHeader.sizeBytes),
            SealedHeader.isSealed(start: start) == true
        else { return .format(error) }
        let keyID = (try? SealedHeader.decode(start))?.keyID
        return .unreadable("sealed with key \(keyID ?? "(damaged)"), and this node has no encryption.key-file")
    }

    private func foreignField(_ header: ObjectHeader, _ key: SiteObjectKey) -> String? {
        if header.kind != .site { return "kind" }
        if header.site != key.site { return "site" }
        if header.incarnation != key.incarnation { return "incarnation" }
        if header.lane != key.lane { return "lane" }
        if header.sequence != key.sequence { return "sequence" }
        return nil
    }

    private func attempt<Value>(
        _ body: () async throws(ObjectStoreError) -> Value
    ) async throws(AdoptionFailure) -> Value {
        var random = WorldRandom(random: world.random)
        do throws(ObjectStoreError) {
            return try await withRetry(retry, clock: world.clock, using: &random) {
                (_: Int) async throws(ObjectStoreError) in try await body()
            }
        } catch {
            switch error.kind {
            case .notFound: throw .missing
            case .rangeOutsideObject: throw .flaw(.unreadable("the object is shorter than it should be"))
            case .denied, .throttled, .conflict, .unavailable, .timeout, .full, .corrupt, .cancelled:
                throw .busy("\(error)")
            case .invalid(let reason): throw .flaw(.unreadable(reason))
            }
        }
    }
}
