import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization
import Uplink

@testable import Cloud

/// A cloud node's part in hearing sites, taking over and serving objects: the production registry, adopter, ledger and
/// extent reader.
struct SimulatedCloud: Sendable {
    let ledger: Ledger
    let adopter: Adopter
    let reader: ExtentReader
    let sites: SiteRegistry

    static func start(
        log: MemoryFencedLog, store: any ObjectStore, clock: SimulatedClock, random: SharedRandom,
        verifiesRuns: Bool
    ) async throws -> SimulatedCloud {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 20
        let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        let ledger = try await Ledger.open(log: log, configuration: configuration, logger: quiet)
        let world = CloudWorld(
            wallMs: { 1_700_000_000_000 + clock.milliseconds }, clock: clock, random: { random.next() })
        var adoption = AdoptionConfiguration()
        adoption.verifiesRuns = verifiesRuns
        let adopter = Adopter(
            configuration: adoption, partitionsDefault: 1, store: store, ledger: ledger, world: world,
            now: { .uptimeNanoseconds(UInt64(clock.milliseconds) * 1_000_000) }, logger: quiet)
        let fetching = FetchConfiguration()
        let blocks = BlockCache(store: store, configuration: fetching, world: world)
        return SimulatedCloud(
            ledger: ledger, adopter: adopter, reader: ExtentReader(blocks: blocks, configuration: fetching),
            sites: SiteRegistry(
                settings: SiteSettings(), ledger: ledger, adopter: adopter, world: world, logger: quiet))
    }

    /// What a node does with an announcement or a greeting, in the order of the endpoint.
    func hear(_ request: AnnounceRequest) async throws(AnnounceError) -> AnnounceReply {
        if let report = request.gateway {
            let outcome: BootOutcome
            do {
                outcome = try await sites.note(
                    site: request.site, incarnation: request.incarnation, report: report, peer: nil)
            } catch {
                throw AnnounceError(.busy(retryAfter: nil), detail: "\(error)")
            }
            if case .contested(let holder) = outcome {
                throw AnnounceError(.contested, status: 409, detail: "held by \(holder.address)")
            }
        }
        var reply = AnnounceReply(adopted: [:])
        if let announcement = request.announcement {
            let report = await adopter.adopt(key: announcement.key)
            reply.adopted[announcement.lane] = report.adoptedSequence
        }
        for (lane, sequence) in sites.adopted(site: request.site, incarnation: request.incarnation)
        where reply.adopted[lane] == nil {
            reply.adopted[lane] = sequence
        }
        return reply
    }
}
