import KafkaProtocol
import NIOCore
import Sealing
import Testing

@testable import WriteAheadLog

/// A gateway with idempotent producers, an uplink and a power supply that fails; and what it may rely on.
private struct Rig {
    let disk = SimulatedDisk()
    var random: SeededGenerator
    var core: LaneCore<SimulatedDisk>
    /// Acknowledged batches by partition and offset.
    var acked: [Int32: [Int64: ByteBuffer]] = [:]
    /// Batches sent and not yet acknowledged, by producer; sent again until they are.
    var outstanding: [Int32: LogEntry] = [:]
    var sequences: [Int32: Int32] = [:]
    var uploads = UploadState()
    /// The plan or upload that was under way when power went.
    var doubtfulUploads: UploadState?
    var trace: [String] = []
    private var starts: UInt64 = 0
    private let sealing: LogSealing?
    private let nonces = NonceWatch()

    init(seed: UInt64, sealing: LogSealing? = nil) throws {
        random = SeededGenerator(seed: seed)
        self.sealing = sealing
        let nonces = nonces
        disk.observe { nonces.note($0, at: $1) }
        core = try Make.core(disk, seed: seed, sealing: sealing, Self.settings).core
    }

    /// Every message a key and a nonce have been used for, over the whole life of the disk.
    var sealedGroups: Int { nonces.count }

    static func settings(_ configuration: inout LaneConfiguration) {
        configuration.segmentSizeBytes = 128 << 10
        configuration.groupBytesMax = 24 << 10
        configuration.quotaBytes = 1 << 20
        configuration.producersMax = 16
        configuration.partitionsMax = 8
    }

    /// Sends new batches of some producers, and the outstanding ones of others: as one commit, or as two groups of which
    /// the second is staged while the first is written and may repeat what is in it.
    mutating func produce() {
        var group: [LogEntry] = []
        for producer in Int32(0)..<4 where Bool.random(using: &random) {
            group.append(outstanding[producer] ?? next(of: producer))
            outstanding[producer] = group[group.count - 1]
        }
        let cut = Bool.random(using: &random) ? Int.random(in: 0...group.count, using: &random) : nil
        for entry in group.prefix(cut ?? 0) where Bool.random(using: &random) { group.append(entry) }
        let outcomes =
            cut.map { core.commitOverlapped(Array(group[..<$0]), Array(group[$0...])) } ?? core.commit(group)
        #expect(outcomes.count == group.count)
        for (entry, outcome) in zip(group, outcomes) {
            trace.append("\(entry.partition): \(outcome)")
            guard let offset = outcome.offset else { continue }
            acked[entry.partition, default: [:]][offset] = entry.batch
            outstanding[entry.partition] = nil
        }
    }

    private mutating func next(of producer: Int32) -> LogEntry {
        let sequence = sequences[producer, default: 0]
        let records = Int.random(in: 1...3, using: &random)
        sequences[producer] = sequence + Int32(records)
        return Make.entry(
            partition: producer, records: records, bytes: Int.random(in: 1...6000, using: &random),
            text: "\(producer)/\(sequence)", producerID: Int64(producer), sequence: sequence)
    }

    /// Plans what is durable or finishes the oldest open plan.
    mutating func upload() {
        let before = core.uploadState
        if let open = before.openPlans.first {
            guard (try? core.recordUploaded(sequence: open.sequence, lastLSN: open.lastLSN)) != nil else {
                doubtfulUploads = UploadState(nextSequence: before.nextSequence, uploadedThrough: open.lastLSN)
                return
            }
        } else {
            guard before.nextPlanLSN <= core.durableLSN else { return }
            let plan = UploadPlan(
                sequence: before.nextSequence, firstLSN: before.nextPlanLSN, lastLSN: core.durableLSN)
            guard (try? core.recordPlan(plan)) != nil else {
                doubtfulUploads = UploadState(
                    nextSequence: plan.sequence + 1, uploadedThrough: before.uploadedThrough, openPlans: [plan])
                return
            }
        }
        uploads = core.uploadState
    }

    mutating func restart(powerCut: Bool) throws {
        if powerCut { disk.crash(using: &random) } else { disk.restartProcess() }
        starts += 1
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 1000 + starts, sealing: sealing, Self.settings)
        trace.append("recovered \(report.durableLSN), torn \(report.tornTailBytes)")
        #expect(report.isClean, "\(report)")
        try check()
        doubtfulUploads = nil
    }

    /// Promises 1 to 5 as far as this module holds them.
    mutating func check() throws {
        let state = core.uploadState
        #expect(state == uploads || state == doubtfulUploads, "\(state)")
        uploads = state
        let all = try core.readAll(from: core.view.firstLSN)
        #expect(all.gaps.isEmpty)
        var next: [Int32: Int64] = [:]
        for batch in all.batches {
            let expected = next[batch.partition] ?? core.logStart(batch.partition)
            #expect(batch.baseOffset == expected, "offsets of partition \(batch.partition) are dense")
            next[batch.partition] = batch.baseOffset + Int64(batch.header.recordCount)
            let known = acked[batch.partition]?[batch.baseOffset] ?? outstanding[batch.partition]?.batch
            #expect(batch.batch == known, "partition \(batch.partition), offset \(batch.baseOffset)")
            // A reader has seen it now: it may never go away again.
            acked[batch.partition, default: [:]][batch.baseOffset] = batch.batch
        }
        for (partition, batches) in acked {
            let start = core.logStart(partition)
            let held = Set(all.batches.filter { $0.partition == partition }.map(\.baseOffset))
            let missing = batches.keys.filter { $0 >= start && !held.contains($0) }
            #expect(missing.isEmpty, "partition \(partition) lost \(missing.sorted())")
        }
    }
}

extension LaneCore {
    fileprivate func logStart(_ partition: Int32) -> Int64 {
        partitions.first { $0.partition == partition }?.logStartOffset ?? 0
    }
}

@Suite("Power cuts and failing disks, by seed")
struct CrashTests {
    private static func run(seed: UInt64, sealing: LogSealing? = nil) throws -> [String] {
        var rig = try Rig(seed: seed, sealing: sealing)
        for _ in 0..<4 {
            var faults = SimulatedDisk.Faults()
            faults.powerOffAt = rig.disk.operations + Int.random(in: 1...120, using: &rig.random)
            rig.disk.faults = faults
            for _ in 0..<60 where !rig.disk.isOff {
                if Int.random(in: 0...4, using: &rig.random) == 0 { rig.upload() } else { rig.produce() }
            }
            try rig.restart(powerCut: true)
        }
        #expect((rig.sealedGroups > 0) == (sealing != nil))
        return rig.trace
    }

    @Test("an acknowledged append survives any power cut, once and in order", arguments: 0..<30 as Range<UInt64>)
    func powerCuts(block: UInt64) throws {
        for seed in block * 10..<block * 10 + 10 { _ = try Self.run(seed: seed) }
    }

    @Test("so does one in a sealed lane, and no nonce serves two messages", arguments: 0..<15 as Range<UInt64>)
    func sealedPowerCuts(block: UInt64) throws {
        let sealing = try Make.sealing("a")
        for seed in block * 10..<block * 10 + 10 { _ = try Self.run(seed: seed &+ 30_000, sealing: sealing) }
    }

    @Test(
        "what a killed process left behind and recovery showed survives a power cut right after",
        arguments: 0..<10 as Range<UInt64>, [false, true])
    func killThenPowerCut(block: UInt64, isSealed: Bool) throws {
        let sealing = isSealed ? try Make.sealing("a") : nil
        for seed in block * 10..<block * 10 + 10 {
            var rig = try Rig(seed: seed &+ 9000, sealing: sealing)
            var faults = SimulatedDisk.Faults()
            faults.powerOffAt = rig.disk.operations + Int.random(in: 1...60, using: &rig.random)
            rig.disk.faults = faults
            for _ in 0..<40 where !rig.disk.isOff { rig.produce() }
            try rig.restart(powerCut: false)
            try rig.restart(powerCut: true)
        }
    }

    @Test("the same seed gives the same trace")
    func repeatable() throws {
        let (first, second) = (try Self.run(seed: 77), try Self.run(seed: 77))
        #expect(first == second && !first.isEmpty)
    }

    @Test(
        "power may go at every single operation of a life with rotations, uploads and recycling",
        arguments: [false, true])
    func everyOperation(isSealed: Bool) throws {
        let sealing = isSealed ? try Make.sealing("a") : nil
        var operation = 1
        while true {
            var rig = try Rig(seed: 4, sealing: sealing)
            var faults = SimulatedDisk.Faults()
            faults.powerOffAt = rig.disk.operations + operation
            rig.disk.faults = faults
            for step in 0..<90 where !rig.disk.isOff {
                if step % 6 == 5 { rig.upload() } else { rig.produce() }
            }
            guard rig.disk.isOff else { break }
            try rig.restart(powerCut: true)
            rig.produce()
            try rig.restart(powerCut: false)
            operation += 1
        }
        #expect(operation > 100)
    }

    @Test("single failures of any kind lose nothing and heal", arguments: 0..<20 as Range<UInt64>, [false, true])
    func failures(block: UInt64, isSealed: Bool) throws {
        let sealing = isSealed ? try Make.sealing("a") : nil
        for seed in block * 5..<block * 5 + 5 {
            var rig = try Rig(seed: seed &+ 5000, sealing: sealing)
            for _ in 0..<120 {
                if Int.random(in: 0...5, using: &rig.random) == 0 { rig.disk.faults = rig.someFault() }
                if Int.random(in: 0...4, using: &rig.random) == 0 { rig.upload() } else { rig.produce() }
            }
            rig.disk.faults = SimulatedDisk.Faults()
            try rig.check()
            for _ in 0..<4 { rig.produce() }
            let isFailing = rig.core.isFailing
            #expect(!isFailing)
            try rig.restart(powerCut: Bool.random(using: &rig.random))
        }
    }
}

extension Rig {
    fileprivate mutating func someFault() -> SimulatedDisk.Faults {
        var faults = SimulatedDisk.Faults()
        let count = Int.random(in: 1...3, using: &random)
        switch Int.random(in: 0...5, using: &random) {
        case 0: faults.failingWrites = count
        case 1: faults.failingSyncs = count
        case 2: faults.failingCreates = count
        case 3: faults.failingRenames = count
        case 4: faults.failingDirectorySyncs = count
        default: (faults.failingCreates, faults.errno) = (count, 28)
        }
        return faults
    }
}
