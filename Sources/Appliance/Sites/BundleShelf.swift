import Cloud
import Logging
import NIOCore
import ObjectStore
import SiteAuthority

/// The bundles in a cloud node's store: where one is put, which are there, whom they are told, and which go.
///
/// An actor, because a bundle must not go between the look whether it is there and the order that names it.
actor BundleShelf {
    private let store: OpenedStore
    private let sites: SiteRegistry
    private let every: Duration
    private let logger: Logger
    private let start = ContinuousClock.now
    private var rule: BundleRule
    /// Being deleted just now.
    private var leaving: Set<String> = []

    private static let uploadSeconds = 6 * 3600
    private static let pageKeys = 1000
    private static let pagesMax = 100
    private static let deletesMax = 100
    private static let pause = Duration.milliseconds(200)

    init(_ store: OpenedStore, _ sites: SiteRegistry, _ settings: CloudSettings, _ logger: Logger) {
        self.store = store
        self.sites = sites
        every = settings.bundlesSweep
        rule = BundleRule(keepCount: settings.bundlesKeep, keepFor: settings.bundlesKeepFor)
        self.logger = logger
    }

    // MARK: Orders

    /// Where the bundle is to be put; nothing when the store holds it already.
    func upload(
        _ bundle: SiteOrder.Bundle, _ reply: SiteOrderReply
    ) async throws(SiteFailure) -> SiteOrderReply {
        guard UpdateOrder.isKey(bundle.key), bundle.key.hasPrefix(UpdateOrder.prefix) else {
            throw .invalid("key: expected \(UpdateOrder.prefix)…, letters, digits and . _ - + ~, got '\(bundle.key)'")
        }
        try hold(bundle.key)
        let present = try await size(of: bundle.key)
        var reply = reply
        if present == bundle.sizeBytes {
            reply.isStored = true
            return reply
        }
        // A part of it, left by an upload that broke, is replaced.
        let use = present == nil ? PresignedUse.create : .overwrite
        guard let url = store.presigned(use, bundle.key, Self.uploadSeconds, WallClock.nowMs()) else {
            return reply
        }
        reply.uploadURL = url.text
        reply.uploadHeaders = use == .create ? ["if-none-match": "*"] : [:]
        return reply
    }

    /// Tells one site. The object must be there, of the right size; the gateway checks the rest.
    func update(_ site: String, _ bundle: SiteOrder.Bundle) async throws(SiteFailure) -> Bool {
        guard UpdateOrder.isKey(bundle.key) else { throw .invalid("key: '\(bundle.key)' cannot be told") }
        try hold(bundle.key)
        guard let sizeBytes = try await size(of: bundle.key) else {
            throw .invalid("the store has no object '\(bundle.key)'")
        }
        guard bundle.sizeBytes == 0 || sizeBytes == bundle.sizeBytes else {
            throw .invalid("object '\(bundle.key)' has \(sizeBytes) bytes, not \(bundle.sizeBytes)")
        }
        return try await sites.update(
            site: site, version: bundle.version, sizeBytes: sizeBytes, sha256: bundle.sha256, key: bundle.key,
            again: bundle.again)
    }

    /// What is there, the newest first, and who is told it.
    func list() async throws(SiteFailure) -> [SiteOrderReply.StoredBundle] {
        let bundles: [BundleRule.Bundle]
        do throws(ObjectStoreError) { bundles = try await stored() } catch { throw .unavailable("\(error)") }
        let orders = self.orders
        let told = Dictionary(grouping: orders.sorted { $0.key < $1.key }, by: \.value.key)
        let going = Set(superfluous(bundles))
        return bundles.sorted { ($0.modifiedMs ?? .max, $0.key) > ($1.modifiedMs ?? .max, $1.key) }.map { bundle in
            let sites = told[bundle.key] ?? []
            return SiteOrderReply.StoredBundle(
                key: bundle.key, sizeBytes: bundle.sizeBytes, modifiedMs: bundle.modifiedMs,
                version: sites.first?.value.version, sites: sites.map(\.key), isGoing: going.contains(bundle.key))
        }
    }

    /// Keeps a bundle for a while that somebody asked for.
    private func hold(_ key: String) throws(SiteFailure) {
        guard !leaving.contains(key) else {
            throw .unavailable("'\(key)' is being deleted, because no site needed it; order again in a moment")
        }
        rule.named([key], now: now)
    }

    private func size(of key: String) async throws(SiteFailure) -> Int? {
        do throws(ObjectStoreError) {
            return try await store.head(key)?.sizeBytes
        } catch {
            throw .unavailable("\(error)")
        }
    }

    // MARK: Sweeping

    /// Deletes what the rule gives up, now and then, until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: every)
            guard !Task.isCancelled else { return }
            do throws(ObjectStoreError) { try await sweep() } catch {
                logger.warning("old bundles stay for now", metadata: ["error": "\(error)"])
            }
        }
    }

    private func sweep() async throws(ObjectStoreError) {
        // Also when nothing is deleted: who is told what now is remembered.
        let bundles = try await stored()
        rule.named(orders.values.map(\.key), now: now)
        rule.forget(allBut: Set(bundles.map(\.key)).union(orders.values.map(\.key)))
        for key in superfluous(bundles).prefix(Self.deletesMax) {
            // Who is told may have changed since the last one.
            guard superfluous(bundles).contains(key), !Task.isCancelled else { continue }
            leaving.insert(key)
            defer { leaving.remove(key) }
            if let error = try await store.delete([key])[key] { throw error }
            logger.notice("a bundle that no site needs was deleted", metadata: ["key": "\(key)"])
            try? await Task.sleep(for: Self.pause)
        }
    }

    private func superfluous(_ bundles: [BundleRule.Bundle]) -> [String] {
        rule.superfluous(bundles, named: Set(orders.values.map(\.key)), now: now, wallMs: WallClock.nowMs())
    }

    /// What each active site is told.
    private var orders: [String: UpdateOrder] { sites.updates() }

    /// All below the prefix, page by page; what is beyond the bound waits until others are gone.
    private func stored() async throws(ObjectStoreError) -> [BundleRule.Bundle] {
        var found: [BundleRule.Bundle] = []
        var after: String?
        for page in 0..<Self.pagesMax {
            if page > 0 { try? await Task.sleep(for: Self.pause) }
            let listed = try await store.list(prefix: UpdateOrder.prefix, startAfter: after, limit: Self.pageKeys)
            found += listed.objects.map {
                BundleRule.Bundle(key: $0.key, sizeBytes: $0.sizeBytes, modifiedMs: $0.lastModifiedMs)
            }
            after = listed.next
            if after == nil { break }
        }
        return found
    }

    private var now: Duration { start.duration(to: .now) }
}
