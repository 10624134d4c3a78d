import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization

@testable import Cloud

/// A cloud node's part in taking over and serving objects: the production adopter, ledger and extent reader.
struct SimulatedCloud: Sendable {
    let ledger: Ledger
    let adopter: Adopter
    let reader: ExtentReader

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
            ledger: ledger, adopter: adopter, reader: ExtentReader(blocks: blocks, configuration: fetching))
    }
}
