import Logging
import NIOCore
import ObjectStore
import Testing
import WriteAheadLog

@testable import Uplink

@Suite("Uplink")
struct UplinkRunTests {
    @Test("all lanes run together, drain, and end when cancelled")
    func lanes() async throws {
        let lanes = ["critical", "standard", "bulk"].map { TestLane(name: $0) }
        let store = MemoryStore()
        let cloud = TestCloud()
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let settings: [LaneUplinkSettings] = [.critical, .standard, .bulk]
        let uplink = Uplink(
            identity: identity, lanes: zip(lanes, settings).map { .init(source: $0, settings: $1) }, store: store,
            announcer: cloud, clock: ContinuousClock(), random: { UInt64.random(in: .min ... .max) }, logger: logger)
        for index in 0..<50 {
            for lane in lanes { try lane.append(Batches.plain(["\(lane.laneName) \(index)"]), topic: lane.laneName) }
        }
        let running = Task { await uplink.run() }
        #expect(await uplink.drain(within: .seconds(60)))
        running.cancel()
        await running.value
        #expect(uplink.status.map(\.lane) == ["critical", "standard", "bulk"])
        #expect(uplink.status.allSatisfy { $0.uploadedRecords == 50 })
        #expect(Set(store.contents.keys.map { $0.split(separator: "/")[3] }) == ["critical", "standard", "bulk"])
    }

    @Test("drain gives up when its time is over and the store is away")
    func drainGivesUp() async throws {
        let lane = TestLane()
        var script = FaultScript()
        script.add(.fail(.unavailable), perMille: 1000)
        let store = FaultyStore(MemoryStore(), script)
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        try lane.append(Batches.plain(["a"]), topic: "t")
        let uplink = Uplink(
            identity: identity, lanes: [.init(source: lane, settings: .critical)], store: store, announcer: nil,
            clock: ContinuousClock(), random: { UInt64.random(in: .min ... .max) }, logger: logger)
        let running = Task { await uplink.run() }
        #expect(await uplink.drain(within: .milliseconds(100)) == false)
        running.cancel()
        await running.value
        #expect(lane.uploadState.uploadedThrough == 0)
    }
}
