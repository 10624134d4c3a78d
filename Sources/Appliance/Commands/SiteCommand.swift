import ArgumentParser
import Cloud
import FoundationEssentials
import SystemPackage

struct SiteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "site", abstract: "Registers sites and says what they may do.",
        subcommands: [
            Add.self, List.self, Rotate.self, Grant.self, Set.self, Revoke.self, Retry.self, Fence.self,
            SiteUpdateCommand.self,
        ])

    /// Which cloud node is asked.
    struct Node: ParsableArguments {
        @Option(help: "HTTP address of a cloud node.") var cloud = "http://127.0.0.1:9644"
        @Option(help: "Its http.admin-token; better in CAIRN_HTTP_ADMIN_TOKEN than here.") var token: String?

        var client: SiteClient {
            SiteClient(node: cloud, token: token ?? ProcessInfo.processInfo.environment["CAIRN_HTTP_ADMIN_TOKEN"])
        }

        func order(_ order: SiteOrder) async throws -> SiteOrderReply {
            do {
                return try await client.order(order)
            } catch { throw Complaint.say(error.description, Complaint.unavailable) }
        }
    }

    /// What goes into the bundle.
    struct Bundle: ParsableArguments {
        @Option(name: .customLong("bundle"), help: "File to write, readable by its owner only. -: standard output.")
        var path: String
        @Option(help: "Cloud nodes as the gateway reaches them, instead of what the node says; repeatable.")
        var announce: [String] = []
        @Option(help: "Directory of the gateway's log on its own disk.") var dataDir = "/var/lib/cairn"
        @Option(help: "S3 key of the gateway, scoped to its prefix. None: presigned URLs from the cloud.")
        var accessKey: String?
        @Option(help: "Its secret.") var secretKey: String?

        func write(_ reply: SiteOrderReply, topics: [String]) throws {
            guard let key = reply.key, let store = reply.store else {
                throw Complaint.say("the node did not say where objects are", Complaint.unavailable)
            }
            let text = ProvisioningBundle(
                site: reply.site, key: key, announce: announce.isEmpty ? reply.announce ?? [] : announce, store: store,
                accessKey: accessKey, secretKey: secretKey, dataDirectory: dataDir, topics: topics
            ).yaml
            guard path != "-" else { return FileHandleLine.write(text, to: 1) }
            do {
                let file = try FileDescriptor.open(
                    FilePath(path), .writeOnly, options: [.create, .exclusiveCreate], permissions: .ownerReadWrite)
                _ = try file.closeAfter { try file.writeAll(text.utf8) }
            } catch {
                // Without its file the key would be lost, and nobody could ask for it again.
                FileHandleLine.write(text, to: 1)
                throw Complaint.say(
                    "\(path): \(error); the bundle was written to standard output", Complaint.unavailable)
            }
            FileHandleLine.write("\(path): bundle of site \(reply.site)\n", to: 1)
        }

        /// Before anything is changed.
        func validate() throws {
            guard (accessKey == nil) == (secretKey == nil) else {
                throw ValidationError("--access-key and --secret-key belong together")
            }
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Registers a site and writes the provisioning bundle of its gateway.")
        @Argument(help: "Name of the site.") var site: String
        @Option(help: "Topics it may write to, with commas: names, or prefix*.") var topics: String
        @Option(help: "Lanes it may use, with commas. Empty: all.") var lanes = ""
        @OptionGroup var bundle: Bundle
        @OptionGroup var node: Node

        func run() async throws {
            var order = SiteOrder(.add, site: site)
            order.topics = words(topics)
            order.lanes = words(lanes)
            try bundle.write(try await node.order(order), topics: words(topics))
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Gives a site a new key, in a new bundle; the old one stays valid for a while.")
        @Argument(help: "Name of the site.") var site: String
        @Option(help: "How long the old key stays valid, for example 7d.") var overlap = "7d"
        @OptionGroup var bundle: Bundle
        @OptionGroup var node: Node

        func run() async throws {
            guard let overlap = try? SettingValue.duration(overlap) else {
                throw Complaint.say("--overlap \(self.overlap): expected a time such as 7d", Complaint.usage)
            }
            var order = SiteOrder(.rotate, site: site)
            order.overlapSeconds = overlap.components.seconds
            let reply = try await node.order(order)
            let topics = try? await node.client.list().first { $0.site == site }?.topics
            try bundle.write(reply, topics: topics ?? [])
        }
    }

    struct Grant: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Changes which topics and lanes a site may use.")
        @Argument(help: "Name of the site.") var site: String
        @Option(help: "All topics it may write to from now on.") var topics: String?
        @Option(help: "All lanes it may use from now on. Empty: all.") var lanes: String?
        @OptionGroup var node: Node

        func run() async throws {
            var order = SiteOrder(.grant, site: site)
            order.topics = topics.map(words)
            order.lanes = lanes.map(words)
            _ = try await node.order(order)
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Tells a site something: NAME=VALUE, or NAME= to take it back.",
            discussion: """
                topics.TOPIC.partitions=N, lanes.LANE.flush=5s, uplink.bandwidth=64KiB (bytes a second, or off), \
                log.level=debug. The gateway applies it with its next announcement; 'cairn site list' shows what it did.
                """)
        @Argument(help: "Name of the site.") var site: String
        @Argument(help: "What to tell it.") var values: [String]
        @OptionGroup var node: Node

        func run() async throws {
            var order = SiteOrder(.set, site: site)
            for word in values {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                guard parts.count == 2, !parts[0].isEmpty else {
                    throw Complaint.say("'\(word)': expected NAME=VALUE", Complaint.usage)
                }
                if parts[1].isEmpty {
                    order.removes = (order.removes ?? []) + [parts[0]]
                } else {
                    order.values = (order.values ?? [:]).merging([parts[0]: parts[1]]) { _, new in new }
                }
            }
            _ = try await node.order(order)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends a site: its announcements are refused and nothing more of it is adopted.")
        @Argument(help: "Name of the site.") var site: String
        @OptionGroup var node: Node
        func run() async throws { _ = try await node.order(SiteOrder(.revoke, site: site)) }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Looks at once at objects of a site that were set aside.")
        @Argument(help: "Name of the site.") var site: String
        @OptionGroup var node: Node
        func run() async throws { _ = try await node.order(SiteOrder(.retry, site: site)) }
    }

    struct Fence: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Never again adopts from one installation of a site: a stolen or copied disk. No way back.")
        @Argument(help: "Name of the site.") var site: String
        @Argument(help: "The incarnation, 32 hexadecimal digits.") var incarnation: String
        @OptionGroup var node: Node

        func run() async throws {
            var order = SiteOrder(.fence, site: site)
            order.incarnation = incarnation
            _ = try await node.order(order)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows all sites, and what is wrong with them.")
        @Flag(help: "As JSON.") var json = false
        @OptionGroup var node: Node

        func run() async throws {
            let sites: [SiteOverview]
            do {
                sites = try await node.client.list()
            } catch { throw Complaint.say(error.description, Complaint.unavailable) }
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
                FileHandleLine.write(String(decoding: try encoder.encode(sites), as: UTF8.self) + "\n", to: 1)
            } else {
                FileHandleLine.write(SiteTableText.lines(sites).joined(separator: "\n") + "\n", to: 1)
            }
        }
    }
}

/// Words of a list with commas.
private func words(_ text: String) -> [String] {
    text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
}
