import ArgumentParser
import Cloud
import FoundationEssentials
import ObjectStore
import SiteAuthority

struct SiteUpdateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Tells gateways to install an image, all of them or some first.",
        discussion: """
            Puts the signed bundle into the object store under updates/SHA-256/NAME, once, and tells the sites where it is. Each downloads it after \
            its data, checks it, installs it beside the running image and goes back by itself if the new one does not prove healthy; \
            'cairn site list' shows how far each is. A site where it failed tries again only after another order (--again).
            Roll out in steps: --percent 5, then 25, then 100; a larger share contains the smaller one.
            --list shows what is in the store. A bundle that no site is told is deleted after 90 days; the five newest always stay \
            (updates.keep-for and updates.keep of the cloud node).
            """)

    @Argument(help: "Names of sites.") var sites: [String] = []
    @Flag(help: "All active sites.") var all = false
    @Option(help: "Of --all, about so many percent: always the same ones for one bundle.") var percent = 100
    @Option(help: "File of the bundle.") var bundle: String?
    @Option(help: "Key of a bundle that is in the store already.") var key: String?
    @Option(help: "Its SHA-256, where the key does not name it.") var sha256: String?
    @Option(help: "VERSION or BUILD of /etc/cairn-image in the new image.") var version: String?
    @Flag(help: "Also sites that are told the same already: where it failed, it is tried again.") var again = false
    @Flag(help: "Takes the order back. What is installed stays.") var clear = false
    @Flag(help: "Neither downloads nor installs for now.") var pause = false
    @Flag(help: "Goes on.") var resume = false
    @Flag(help: "Shows the bundles that are in the store, and who is told to install them.") var list = false
    @Flag(help: "Of --list, as JSON.") var json = false
    @OptionGroup var node: SiteCommand.Node

    func validate() throws {
        guard !json || list else { throw ValidationError("--json is for --list") }
        if list {
            guard sites.isEmpty, !all, bundle == nil, key == nil, !clear, !pause, !resume, !again, percent == 100 else {
                throw ValidationError("--list stands alone")
            }
            return
        }
        guard all != !sites.isEmpty else {
            throw ValidationError("expected names of sites or --all, but not both; or --list alone")
        }
        guard (1...100).contains(percent), percent == 100 || all else {
            throw ValidationError("--percent: 1 to 100, with --all")
        }
        let ways = [bundle != nil, key != nil, clear, pause, resume].count { $0 }
        guard ways == 1 else {
            throw ValidationError("expected one of --bundle, --key, --clear, --pause, --resume; or --list alone")
        }
        guard percent == 100 || bundle != nil || key != nil else {
            throw ValidationError("--percent is for --bundle and --key")
        }
        guard bundle == nil && key == nil || version.map(UpdateOrder.isVersion) == true else {
            throw ValidationError("--version: 1 to 64 letters, digits and . _ - + ~ :")
        }
    }

    func run() async throws {
        if list { return try await showBundles() }
        guard let bundle = try await orderedBundle() else {
            for site in try await chosen(nil) { try await set(site) }
            return
        }
        var failures = 0
        for site in try await chosen(bundle.sha256) {
            var order = SiteOrder(.update, site: site)
            order.bundle = bundle
            do {
                let reply = try await node.client.order(order)
                say("\(site): \(reply.isNew == false ? "is told so already" : "told to install \(bundle.version)")")
            } catch {
                failures += 1
                FileHandleLine.write("cairn: \(site): \(error)\n")
            }
        }
        guard failures == 0 else { throw Complaint.say("\(failures) sites could not be told", Complaint.unavailable) }
    }

    private func showBundles() async throws {
        let bundles = try await node.order(SiteOrder(.bundles, site: "")).bundles ?? []
        guard !json else {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return say(String(decoding: try encoder.encode(bundles), as: UTF8.self))
        }
        for line in BundleTableText.lines(bundles, nowMs: WallClock.nowMs()) { say(line) }
    }

    private func set(_ site: String) async throws {
        var order = SiteOrder(.set, site: site)
        if clear { order.removes = ["update", "update.paused"] }
        if pause { order.values = ["update.paused": "yes"] }
        if resume { order.removes = ["update.paused"] }
        _ = try await node.order(order)
        say("\(site): \(clear ? "nothing to install" : pause ? "updates paused" : "updates go on")")
    }

    private func say(_ text: String) { FileHandleLine.write(text + "\n", to: 1) }

    // MARK: Which sites

    private func chosen(_ sha256: String?) async throws -> [String] {
        guard all else { return sites }
        let known: [SiteOverview]
        do {
            known = try await node.client.list()
        } catch { throw Complaint.say(error.description, Complaint.unavailable) }
        let names = known.filter { $0.state == "active" }.map(\.site)
        guard let sha256, percent < 100 else { return names }
        let first = names.filter { Self.place($0, sha256) < percent }
        say("\(first.count) of \(names.count) sites are among the first \(percent)%")
        return first
    }

    /// 0 to 99: where a site comes in the rollout of one bundle. Another bundle has another order, so that no site is always first.
    static func place(_ site: String, _ sha256: String) -> Int {
        var text = sha256 + "\n" + site
        let digest = text.withUTF8 { MessageCode.sha256(UnsafeRawBufferPointer($0)) }
        return (Int(digest[0]) << 16 | Int(digest[1]) << 8 | Int(digest[2])) % 100
    }

    // MARK: The bundle

    /// Nil where none is named. A file is in the store when this returns.
    private func orderedBundle() async throws -> SiteOrder.Bundle? {
        guard let version else { return nil }
        if let bundle { return try await BundleUpload(node: node, path: bundle, version: version, again: again).run() }
        guard let key else { return nil }
        let parts = key.split(separator: "/").map(String.init)
        let named = parts.count > 2 && parts[0] + "/" == UpdateOrder.prefix ? parts[1] : nil
        guard let digest = sha256 ?? named, digest.utf8.count == 64, MessageCode.bytes(hexadecimal: digest) != nil
        else {
            throw Complaint.say("--sha256: 64 hexadecimal digits, because the key does not name them", Complaint.usage)
        }
        return SiteOrder.Bundle(key: key, sizeBytes: 0, sha256: digest.lowercased(), version: version, again: again)
    }
}
