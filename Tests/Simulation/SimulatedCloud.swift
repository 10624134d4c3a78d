import Ledger
import Logging
import NIOCore
import ObjectStore

@testable import Cloud

/// A cloud node's part in taking over objects: the production adopter over a ledger that outlives it.
struct SimulatedCloud: Sendable {
    let ledger: Ledger
    let adopter: Adopter

    static func start(
        log: MemoryFencedLog, store: any ObjectStore, clock: SimulatedClock, random: SharedRandom
    ) async throws -> SimulatedCloud {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 20
        let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        let ledger = try await Ledger.open(log: log, configuration: configuration, logger: quiet)
        let world = CloudWorld(
            wallMs: { 1_700_000_000_000 + clock.milliseconds }, clock: clock, random: { random.next() })
        let adopter = Adopter(
            configuration: AdoptionConfiguration(), partitionsDefault: 1, store: store, ledger: ledger, world: world,
            now: { .uptimeNanoseconds(UInt64(clock.milliseconds) * 1_000_000) }, logger: quiet)
        return SimulatedCloud(ledger: ledger, adopter: adopter)
    }
}
