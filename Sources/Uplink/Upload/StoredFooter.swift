public import ObjectStore
public import SharedObject

/// Reads the index of an object that is in a store.
public enum StoredFooter {
    public enum Outcome: Sendable, Equatable {
        case found(ObjectFooter)
        case absent
        /// Something of this size is there that is not a whole object.
        case unreadable(ObjectFormatError, sizeBytes: Int)
    }

    /// HEAD, then one ranged GET of the tail, or two when the footer is long.
    public static func read(
        _ key: String, from store: any ObjectStore
    ) async throws(ObjectStoreError) -> Outcome {
        guard let info = try await store.head(key) else { return .absent }
        let sizeBytes = info.sizeBytes
        guard sizeBytes > 0 else {
            return .unreadable(.truncated(part: "object", neededBytes: 1, availableBytes: 0), sizeBytes: 0)
        }
        do {
            var tailBytes = ObjectReader.tailBytes(objectSizeBytes: sizeBytes)
            for _ in 0..<2 {
                let tail = try await store.get(key, range: sizeBytes - tailBytes..<sizeBytes)
                switch try ObjectReader.footer(tail: tail, objectSizeBytes: sizeBytes) {
                case .complete(let footer): return .found(footer)
                case .needMore(let more): tailBytes = more
                }
            }
            return .unreadable(
                .truncated(part: "footer", neededBytes: tailBytes, availableBytes: tailBytes), sizeBytes: sizeBytes)
        } catch let error as ObjectStoreError {
            if error.kind == .notFound { return .absent }
            throw error
        } catch let error as ObjectFormatError {
            return .unreadable(error, sizeBytes: sizeBytes)
        } catch {
            throw ObjectStoreError(.get, key: key, .corrupt("\(error)"))
        }
    }
}
