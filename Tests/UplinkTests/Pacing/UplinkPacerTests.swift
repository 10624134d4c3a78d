import Foundation
import KafkaProtocol
import Logging
import NIOCore
import ObjectStore
import Synchronization
import Testing

@testable import Uplink
@testable import WriteAheadLog

@Suite("Uplink pacer")
struct UplinkPacerTests {
    /// A state that survives the pacers over it, and can refuse.
    final class Box: PacerStateStore {
        private let state = Mutex<(saved: PacerState?, saves: Int, refuses: Bool)>((nil, 0, false))
        var saved: PacerState? { state.withLock { $0.saved } }
        var saves: Int { state.withLock { $0.saves } }
        func refuse(_ refuses: Bool) { state.withLock { $0.refuses = refuses } }
        func load() -> PacerState? { saved }
        func save(_ new: PacerState) throws {
            try state.withLock { state in
                if state.refuses { throw PacerStateFile.Failure(description: "no space") }
                state.saved = new
                state.saves += 1
            }
        }
    }

    private let november = CalendarTime(secondOfDay: 0, month: 2026 * 12 + 10, day: 3)

    private func pacer(
        _ clock: ManualClock, _ settings: PacingSettings = PacingSettings(), _ box: Box? = nil
    ) -> UplinkPacer<ManualClock> {
        let time = november
        return UplinkPacer(
            settings: settings, lanes: ["standard", "bulk"], clock: clock, calendar: { time }, store: box)
    }

    private func fill(_ harness: Harness, batches: Int, bytes: Int = 300) throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<batches {
            let text = (0..<bytes).map { _ in Character(UnicodeScalar(UInt8.random(in: 33...126, using: &random))) }
            try harness.lane.append(Batches.plain([String(text)]), topic: "t")
        }
    }

    @Test("bytes leave at the cap, measured in bytes over the pacer's own clock")
    func cap() async throws {
        let harness = Harness()
        let pacer = pacer(harness.clock, PacingSettings(bytesPerSecond: 2000, burstBytes: 4096))
        harness.pace(pacer)
        try fill(harness, batches: 400)
        await harness.settle()
        try harness.checkStore()
        let sent = harness.memory.contents.values.reduce(0) { $0 + $1.readableBytes }
        let seconds = harness.clock.now.time / .seconds(1)
        #expect(Double(sent) <= 2000 * seconds + 2 * 4096, "\(sent) bytes in \(seconds) s")
        #expect(sent > 50_000)
        #expect(pacer.status.budgetUsedBytes == UInt64(sent + harness.memory.contents.count * Pacing.requestBytes))
    }

    @Test("objects come to take about ten seconds on the link as it is capped")
    func sized() async throws {
        var settings = LaneUplinkSettings.test
        settings.upload.sizing = ObjectSizing.Limits()
        let harness = Harness(settings: settings)
        harness.pace(pacer(harness.clock, PacingSettings(bytesPerSecond: 20_000)))
        try fill(harness, batches: 2000, bytes: 3000)
        await harness.settle()
        try harness.checkStore()
        let sizes = harness.memory.contents.sorted { $0.key < $1.key }.map(\.value.readableBytes).dropFirst(3)
            .dropLast()
        #expect(sizes.count > 5)
        #expect(sizes.allSatisfy { (150_000...260_000).contains($0) }, "\(sizes)")
    }

    @Test(
        "paused between any two steps, also over a restart, nothing is sent; resumed, nothing is missing",
        arguments: 1..<20)
    func pauseAnywhere(steps: Int) async throws {
        let harness = Harness()
        let box = Box()
        harness.pace(pacer(harness.clock, PacingSettings(), box))
        try fill(harness, batches: 40)
        await harness.settle(stepsMax: steps)
        try harness.pacer?.setPaused(true)
        let before = harness.memory.contents.count
        await harness.settle(stepsMax: 50)
        #expect(harness.memory.contents.count == before)
        harness.pace(pacer(harness.clock, PacingSettings(), box))  // the process starts again
        #expect(harness.pacer?.isPaused == true)
        try fill(harness, batches: 10)
        await harness.settle(stepsMax: 50)
        #expect(harness.memory.contents.count == before)
        #expect(harness.uplink.status.phase == .held)
        #expect(harness.pacer?.status.lanes.map(\.hold) == [.paused, .paused])
        try harness.pacer?.setPaused(false)
        await harness.settle()
        try harness.checkStore()
        #expect(harness.uplink.status.failedAttempts == 0, "a pause is no failure")
    }

    @Test("an upload under way stops at its next piece")
    func pauseInside() async throws {
        let clock = ManualClock()
        let pacer = pacer(clock, PacingSettings(bytesPerSecond: 10_000, burstBytes: 4096))
        let upload = pacer.begin(lane: "standard", priority: 0, isBacklog: false)
        #expect(try await upload.admit(1 << 20) == 2500)
        try pacer.setPaused(true)
        await #expect(throws: UploadStopped.self) { try await upload.admit(1 << 20) }
        #expect(upload.wasStopped)
        upload.end(isWhole: false)
    }

    @Test("what the store asks for holds all lanes, ten minutes at most, and not longer than asked")
    func throttled() async throws {
        let clock = ManualClock()
        let pacer = pacer(clock)
        pacer.throttled(for: .seconds(30))
        #expect(pacer.hold(lane: "bulk") == .seconds(1))
        #expect(pacer.status.lanes.map(\.hold) == [.throttled, .throttled])
        #expect(pacer.status.lanes[0].nextLook == .seconds(30))
        clock.advance(by: .seconds(30))
        #expect(pacer.hold(lane: "bulk") == nil)
        pacer.throttled(for: .seconds(86_400))
        clock.advance(by: .seconds(600))
        #expect(pacer.hold(lane: "bulk") == nil)
    }

    @Test("a process that is killed never counts too little, and one that ends counts exactly")
    func counts() async throws {
        let clock = ManualClock()
        let box = Box()
        let settings = PacingSettings(budget: DataBudget.Settings(monthBytes: 1 << 30))
        var sent: UInt64 = 0
        for round in 0..<5 {
            let pacer = pacer(clock, settings, box)
            let upload = pacer.begin(lane: "bulk", priority: 2, isBacklog: true)
            for _ in 0..<100 { sent += UInt64(try await upload.admit(64 << 10)) }
            upload.end(isWhole: true)
            let saved = try #require(box.saved?.budget.usedBytes)
            #expect(saved >= sent, "round \(round)")
            #expect(saved <= sent + UInt64(round + 1) * (2 << 20), "round \(round)")
            if round == 4 {
                pacer.close()
                #expect(box.saved?.budget.usedBytes == pacer.status.budgetUsedBytes)
            }
        }
        #expect(box.saves < 50, "\(box.saves) writes for 32 MB: flash wears")
    }

    @Test("a disk that refuses the pause says so, and the pause holds all the same")
    func refused() throws {
        let box = Box()
        let pacer = pacer(ManualClock(), PacingSettings(), box)
        box.refuse(true)
        #expect(throws: PacerStateFile.Failure.self) { try pacer.setPaused(true) }
        #expect(pacer.isPaused)
    }

    @Test("the state file comes back; a damaged one is put aside and counts as none")
    func file() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pacer-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let file = PacerStateFile(directory: directory)
        #expect(file.load() == nil)
        let state = PacerState(isPaused: true, budget: DataBudget.Count(month: 24_322, usedBytes: 77))
        try file.save(state)
        #expect(file.load() == state)
        let whole = try Data(contentsOf: URL(filePath: directory + "/uplink.json"))
        for length in 0..<(whole.count - 2) {
            try whole.prefix(length).write(to: URL(filePath: directory + "/uplink.json"))
            #expect(file.load() == nil, "\(length) bytes")
            #expect(FileManager.default.fileExists(atPath: directory + "/uplink.json.damaged"))
        }
        #expect(throws: PacerStateFile.Failure.self) { try PacerStateFile(directory: directory + "/no").save(state) }
    }

    @Test(
        "after an outage the backlog goes without being asked, and without new data (mosquitto #2256 never reconnects once full; nats #6468, nanomq #2423 wait for the next publish)"
    )
    func fullHeals() async throws {
        let harness = Harness()
        harness.pace(pacer(harness.clock))
        try fill(harness, batches: 30)
        harness.faulty.rescript { $0.add(.fail(.unavailable), on: .put, perMille: 1000) }
        await harness.settle(stepsMax: 400)
        #expect(harness.lane.uploadState.uploadedThrough == 0)
        harness.faulty.rescript { $0 = FaultScript() }
        await harness.settle()
        try harness.checkStore()
        #expect(harness.lane.uploadState.uploadedThrough > 30)
    }

    @Test("a restart sends nothing again that had been sent (P33, telegraf #16500 resends its whole buffer)")
    func restartSendsNothingTwice() async throws {
        let harness = Harness()
        harness.pace(pacer(harness.clock))
        try fill(harness, batches: 60)
        await harness.settle()
        let puts = harness.faulty.count(.put)
        #expect(puts > 10)
        for _ in 0..<3 {
            harness.restart()
            await harness.settle()
        }
        #expect(harness.faulty.count(.put) == puts)
    }

    @Test("nothing is freed before the store has said that it keeps it (P22, nanomq #2432 deletes before it sends)")
    func freedAfterwards() async throws {
        let harness = Harness()
        harness.pace(pacer(harness.clock))
        try fill(harness, batches: 5)
        for kind in [ObjectStoreError.Kind.timeout, .unavailable, .cancelled, .denied, .full, .conflict] {
            harness.faulty.rescript {
                $0 = FaultScript()
                $0.add(.fail(kind), on: .put, perMille: 1000)
            }
            await harness.settle(stepsMax: 30)
            #expect(harness.faulty.trace.last?.error == kind)
            #expect(harness.lane.uploadState.uploadedThrough == 0, "\(kind)")
            harness.restart()
        }
        harness.faulty.rescript { $0 = FaultScript() }
        await harness.settle()
        try harness.checkStore()
    }
}
