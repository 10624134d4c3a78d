import Cloud
import NIOCore
import ObjectStore
import SiteAuthority

/// What a cloud node does about bundles: says where to put them, looks whether they are there, tells sites.
struct UpdateOrders {
    let role: CloudRole

    /// Where the bundle is to be put; nothing when the store holds it already.
    func upload(_ bundle: SiteOrder.Bundle, _ reply: inout SiteOrderReply) async throws(SiteFailure) {
        guard UpdateOrder.isKey(bundle.key), bundle.key.hasPrefix(UpdateOrder.prefix) else {
            throw .invalid("key: expected \(UpdateOrder.prefix)…, letters, digits and . _ - + ~, got '\(bundle.key)'")
        }
        let present = try await size(of: bundle.key)
        if present == bundle.sizeBytes { return }
        // A part of it, left by an upload that broke, is replaced.
        let use = present == nil ? PresignedUse.create : .overwrite
        guard let url = role.store.presigned(use, bundle.key, Self.uploadSeconds, WallClock.nowMs()) else { return }
        reply.uploadURL = url.text
        reply.uploadHeaders = use == .create ? ["if-none-match": "*"] : [:]
    }

    /// Tells one site. The object must be there, of the right size; the gateway checks the rest.
    func update(_ site: String, _ bundle: SiteOrder.Bundle) async throws(SiteFailure) -> Bool {
        guard UpdateOrder.isKey(bundle.key) else { throw .invalid("key: '\(bundle.key)' cannot be told") }
        guard let sizeBytes = try await size(of: bundle.key) else {
            throw .invalid("the store has no object '\(bundle.key)'")
        }
        guard bundle.sizeBytes == 0 || sizeBytes == bundle.sizeBytes else {
            throw .invalid("object '\(bundle.key)' has \(sizeBytes) bytes, not \(bundle.sizeBytes)")
        }
        return try await role.broker.sites.update(
            site: site, version: bundle.version, sizeBytes: sizeBytes, sha256: bundle.sha256, key: bundle.key,
            again: bundle.again)
    }

    private static let uploadSeconds = 6 * 3600

    private func size(of key: String) async throws(SiteFailure) -> Int? {
        do throws(ObjectStoreError) {
            return try await role.store.head(key)?.sizeBytes
        } catch {
            throw .unavailable("\(error)")
        }
    }
}
