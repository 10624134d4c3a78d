import CUring
import Foundation
import KafkaProtocol
import NIOCore
import Synchronization
import Testing

@testable import WriteAheadLog

/// Opens a lane of small segments in a directory.
func openLane(
    _ directory: TemporaryDirectory, _ change: (inout LaneConfiguration) -> Void = { _ in }
) throws -> (log: LaneLog, report: RecoveryReport) {
    var configuration = Make.configuration(directory.path)
    change(&configuration)
    return try LaneLog.open(configuration)
}

extension LaneLog {
    /// Waits until everything durable is in the index file.
    func waitForIndex() async throws {
        while indexedLSN < durableLSN { try await Task.sleep(for: .milliseconds(5)) }
    }

    func fetchAll(_ topic: String, partition: Int32 = 0, from offset: Int64 = 0) throws -> [StoredBatch] {
        var batches: [StoredBatch] = []
        var next = offset
        while true {
            let fetched = try fetch(topic: topic, partition: partition, offset: next, maxBytes: 20_000)
            guard let last = fetched.batches.last else { return batches }
            batches += fetched.batches
            next = last.baseOffset + Int64(last.header.recordCount)
        }
    }
}

@Suite("A lane on the real file system")
struct LaneLogTests {
    private let directory = TemporaryDirectory()

    @Test(
        "appends come back by LSN and by offset, before and after a restart",
        arguments: LaneConfiguration.EngineChoice.allCases)
    func roundTrip(engine: LaneConfiguration.EngineChoice) async throws {
        var (log, report) = try openLane(directory) { $0.engine = engine }
        #expect(report.isClean)
        if engine == .pwrite { #expect(log.status.engine.hasPrefix("pwrite")) }
        var sent: [LogEntry] = []
        for number in 0..<90 {
            let entries = (0..<2).map { Make.entry("t\($0)", records: 2, bytes: 6000, text: "\(number)") }
            sent += entries
            let outcomes = await log.append(entries)
            #expect(outcomes.allSatisfy { $0.lsn != nil })
        }
        for _ in 0..<2 {
            let slice = try log.read(from: 1, maxBytes: 1 << 30, maxCount: 10_000)
            #expect(slice.gaps.isEmpty && slice.nextLSN == log.durableLSN + 1)
            #expect(slice.batches.map(\.batch) == sent.map(\.batch))
            for topic in ["t0", "t1"] {
                let fetched = try log.fetchAll(topic)
                #expect(fetched.map(\.baseOffset) == (0..<90).map { Int64($0 * 2) })
                for batch in fetched {
                    #expect(try RecordBatch.validateOne(batch.batch).baseOffset == batch.baseOffset)
                }
            }
            #expect(log.partitions().map(\.highWatermark) == [180, 180])
            log.close()
            (log, report) = try openLane(directory) { $0.engine = engine }
            #expect(report.isClean && report.index == .current, "\(report)")
        }
        #expect(log.status.segmentCount > 3)
        log.close()
    }

    @Test("completions come once per call, in order, and only after the data is durable")
    func completions() async throws {
        let (log, _) = try openLane(directory)
        let seen = await withTaskGroup(of: Int.self) { group in
            for call in 0..<200 {
                group.addTask {
                    let outcomes = await log.append([Make.entry(text: "\(call)"), Make.entry("second")])
                    let lsn = outcomes.compactMap(\.lsn).max() ?? .max
                    #expect(outcomes.count == 2 && lsn <= log.durableLSN)
                    return call
                }
            }
            return await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(seen.count == 200)
        #expect(log.status.groups <= 201)
        let status = log.status
        #expect(status.durableRecords == 400 && status.acceptedRecords == 400 && status.pendingBytes == 0)
        log.close()
        #expect(await log.append([Make.entry()]) == [.rejected(.closed)])
    }

    @Test(
        "callers who never let the writer rest are answered in order, with plans and rotations between",
        arguments: LaneConfiguration.EngineChoice.allCases)
    func fullSpeed(engine: LaneConfiguration.EngineChoice) async throws {
        let (log, _) = try openLane(directory) {
            $0.engine = engine
            $0.quotaBytes = 16 << 20
        }
        let answers = await withTaskGroup(of: [Int64].self) { group in
            for chain in 0..<3 {
                group.addTask {
                    var offsets: [Int64] = []
                    for number in 0..<60 {
                        let outcomes = await log.append([
                            Make.entry(
                                "t\(chain)", bytes: 13_000, producerID: Int64(chain), sequence: Int32(number)),
                            Make.entry("all", bytes: 12_000),
                        ])
                        #expect(outcomes[0].offset == Int64(number))
                        #expect(outcomes.compactMap(\.lsn).max() ?? .max <= log.durableLSN)
                        offsets.append(outcomes[1].offset ?? -1)
                    }
                    return offsets
                }
            }
            group.addTask {
                for _ in 0..<20 {
                    let (state, durable) = (log.uploadState, log.durableLSN)
                    guard state.nextPlanLSN <= durable else { continue }
                    let plan = UploadPlan(
                        sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: durable)
                    try? await log.recordPlan(plan)
                    try? await log.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
                }
                return []
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(answers.sorted() == Array(0..<180))
        #expect(log.status.durableBatches == 360 && log.status.pendingBytes == 0)
        log.close()
        let (again, report) = try openLane(directory) { $0.engine = engine }
        #expect(report.isClean && again.partitions().map(\.highWatermark).sorted() == [60, 60, 60, 180])
        again.close()
    }

    @Test("entries of one call stay together")
    func contiguous() async throws {
        let (log, _) = try openLane(directory)
        await withTaskGroup(of: Void.self) { group in
            for call in 0..<50 {
                group.addTask {
                    let outcomes = await log.append((0..<3).map { _ in Make.entry(text: "\(call)") })
                    let lsns = outcomes.compactMap(\.lsn)
                    #expect(lsns.count == 3 && lsns[2] == lsns[0] + 2)
                }
            }
        }
        log.close()
    }

    @Test("what waits for the writer is bounded; beyond it the answer is overloaded, at once")
    func overloaded() async throws {
        let (log, _) = try openLane(directory) { $0.pendingBytesMax = 32 << 10 }
        let release = DispatchSemaphore(value: 0)
        let answers = Mutex<[AppendOutcome]>([])
        // The first completion holds the writer's thread up.
        log.append([Make.entry()]) { _ in release.wait() }
        for _ in 0..<40 { log.append([Make.entry(bytes: 4000)]) { some in answers.withLock { $0 += some } } }
        let overloaded = answers.withLock {
            $0.filter { if case .rejected(.overloaded(_, 32768)) = $0 { true } else { false } }.count
        }
        #expect(overloaded >= 30)
        release.signal()
        log.close()
        #expect(answers.withLock { $0.count } == 40)
    }

    @Test("a second opener is told that the log is in use; after close it may")
    func lock() throws {
        let (log, _) = try openLane(directory)
        #expect(throws: WALError.locked(path: directory.path + "/lock")) { try openLane(directory) }
        log.close()
        withExtendedLifetime(log) {}
    }

    @Test("listeners hear of new durable LSNs, uploads are durable and free segments")
    func uploads() async throws {
        var (log, _) = try openLane(directory)
        let heard = Mutex<UInt64>(0)
        log.addDurableListener { lsn in heard.withLock { $0 = max($0, lsn) } }
        for number in 0..<80 { _ = await log.append([Make.entry(bytes: 9000, text: "\(number)")]) }
        let last = log.durableLSN
        #expect(heard.withLock { $0 } >= last - 1)
        let before = log.status.segmentCount
        try await log.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: last))
        #expect(log.uploadState.openPlans.count == 1)
        try await log.recordUploaded(sequence: 1, lastLSN: last)
        #expect(log.uploadState == UploadState(nextSequence: 2, uploadedThrough: last))
        #expect(log.status.segmentCount < before && log.status.uploadedLSN >= last)
        let start = log.partitions()[0].logStartOffset
        #expect(start > 0)
        #expect(throws: WALError.offsetOutOfRange(offset: 0, logStartOffset: start, highWatermark: 80)) {
            try log.fetch(topic: "gnss", partition: 0, offset: 0, maxBytes: 100)
        }
        await #expect(throws: WALError.self) {
            try await log.recordPlan(UploadPlan(sequence: 10, firstLSN: 1, lastLSN: 2))
        }
        log.close()
        await #expect(throws: WALError.closed) { try await log.recordUploaded(sequence: 1, lastLSN: last) }
        (log, _) = try openLane(directory)
        #expect(log.uploadState == UploadState(nextSequence: 2, uploadedThrough: last))
        #expect(log.partitions()[0].logStartOffset == start)
        log.close()
    }

    @Test("offsets by time point at the record, also when it lies inside a batch")
    func byTime() async throws {
        let (log, _) = try openLane(directory)
        for number in Int64(0)..<30 { _ = await log.append([Make.entry(records: 5, timestampMs: 1000 + number * 100)]) }
        for _ in 0..<2 {
            #expect(try log.offset(topic: "gnss", partition: 0, timestampMs: 0)?.offset == 0)
            #expect(try log.offset(topic: "gnss", partition: 0, timestampMs: 1203)?.offset == 13)
            #expect(try log.offset(topic: "gnss", partition: 0, timestampMs: 1205)?.offset == 15)
            #expect(try log.offset(topic: "gnss", partition: 0, timestampMs: 99_999) == nil)
            try await log.waitForIndex()
        }
        #expect(throws: WALError.unknownPartition(topic: "gnss", partition: 8)) {
            try log.offset(topic: "gnss", partition: 8, timestampMs: 0)
        }
        log.close()
    }

    @Test("where io_uring is forbidden the lane works all the same")
    func forbidden() async throws {
        let path = directory.path
        let engine: String = try await withCheckedThrowingContinuation { continuation in
            // A thread of its own: the filter cannot be taken off again.
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        #expect(cairn_forbid_io_uring() == 0)
                        let (log, _) = try LaneLog.open(Make.configuration(path))
                        defer { log.close() }
                        let done = DispatchSemaphore(value: 0)
                        log.append([Make.entry(text: "kept")]) { outcomes in
                            #expect(outcomes[0].offset == 0)
                            done.signal()
                        }
                        done.wait()
                        return log.status.engine
                    })
            }
        }
        #expect(engine == "pwrite (io_uring refused: Operation not permitted (1))")
        let (log, _) = try openLane(directory)
        #expect(try log.fetchAll("gnss").count == 1)
        log.close()
    }

    @Test(
        "a file system without O_DIRECT is good enough",
        .enabled(if: FileManager.default.isWritableFile(atPath: "/dev/shm")))
    func withoutDirect() async throws {
        let memory = TemporaryDirectory(under: "/dev/shm")
        let (log, _) = try openLane(memory)
        for _ in 0..<60 { #expect(await log.append([Make.entry(bytes: 9000)])[0].lsn != nil) }
        #expect(try log.fetchAll("gnss").count == 60)
        log.close()
    }

    @Test("a setting that cannot work is refused by name")
    func settings() {
        for change in [
            { $0.segmentSizeBytes = 1000 }, { $0.groupBytesMax = 5000 }, { $0.quotaBytes = 1 },
            { $0.pendingBytesMax = 1 },
            { $0.groupBytesMax = 1 << 20 }, { $0.producersMax = 0 }, { $0.commitWindow = .seconds(60) },
        ] as [(inout LaneConfiguration) -> Void] {
            #expect(throws: WALError.self) { try openLane(directory, change) }
        }
    }

    @Test("the incarnation is made once and survives; with both copies broken it is replaced")
    func identity() throws {
        let first = try SiteIdentity.open(root: directory.path)
        #expect(first.incarnation.utf8.count == 32 && first.replaced == nil)
        #expect(try SiteIdentity.open(root: directory.path) == first)
        try directory.write("incarnation", Data([0, 1, 2]))
        try directory.write("incarnation.copy", Data(repeating: 0, count: 33))
        let second = try SiteIdentity.open(root: directory.path)
        #expect(second.incarnation != first.incarnation && second.replaced != nil)
        #expect(try SiteIdentity.open(root: directory.path).incarnation == second.incarnation)
        #expect(directory.files(".broken").count == 2)
    }
}
