import KafkaProtocol
import Synchronization
import Testing

@testable import Ledger

@Suite struct LedgerTests {
    private func openWithTopic(_ configuration: LedgerConfiguration = LedgerConfiguration()) async throws -> Ledger {
        let ledger = try await Ledger.open(log: MemoryFencedLog(), configuration: configuration)
        _ = try await ledger.createTopic(CreateTopic(name: "gnss", id: topicID(1), partitionCount: 3, nowMs: 1))
        return ledger
    }

    @Test func concurrentCommitsGetDenseOffsetsOnce() async throws {
        let ledger = try await openWithTopic()
        let bases = await withTaskGroup(of: Int64?.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let commit = ObjectCommit(
                        key: "o\(number)", sizeBytes: 1_000, nodeID: 1, nodeEpoch: 1, runs: [run()], nowMs: 1)
                    guard case .committed(let base, _) = try? await ledger.commitObject(commit).first else {
                        return nil
                    }
                    return base
                }
            }
            return await group.reduce(into: [Int64?]()) { $0.append($1) }
        }
        #expect(bases.compactMap { $0 }.sorted() == (0..<300).map { Int64($0 * 10) })
        #expect(ledger.view.partition(topicID(1), 0)?.highWatermark == 3_000)
        #expect(ledger.statistics().blobs <= 301)
        await ledger.close()
    }

    @Test func anAnswerIsVisibleWhenItArrives() async throws {
        let ledger = try await openWithTopic()
        for number in 0..<50 as Range<Int64> {
            _ = try await ledger.submit(object("o\(number)", run()))
            #expect(ledger.view.partition(topicID(1), 0)?.highWatermark == (number + 1) * 10)
        }
        await ledger.close()
    }

    @Test func listenersHearOfTheChangedPartitions() async throws {
        let ledger = try await openWithTopic()
        let heard = Mutex<[Set<TopicPartition>]>([])
        let token = ledger.view.addListener { changed in heard.withLock { $0.append(Set(changed)) } }
        _ = try await ledger.submit(object("o1", run(1, 0), run(1, 2, at: 100)))
        _ = try await ledger.submit(.allocateProducerID(count: 1))
        _ = try await ledger.submit(advance(1, 2, to: 3))
        ledger.view.removeListener(token)
        _ = try await ledger.submit(object("o2", run(1, 0)))
        #expect(heard.withLock { $0 } == [[place(1, 0), place(1, 2)], [place(1, 2)]])
        await ledger.close()
    }

    @Test func aFullQueueIsRefusedAndWhatWasQueuedIsStillDone() async throws {
        var configuration = LedgerConfiguration()
        configuration.commandsQueuedMax = 10
        let ledger = try await openWithTopic(configuration)
        let gate = Mutex(0)
        // The first completion holds the sequencer's thread until the queue has been filled.
        let held = Mutex(())
        let outcomes = Mutex<[Result<LedgerAnswer, LedgerError>]>([])
        held.withLock { _ in
            ledger.submit(object("first", run())) { _ in
                gate.withLock { $0 = 1 }
                held.withLock { _ in }
            }
            while gate.withLock({ $0 }) == 0 {}
            for number in 0..<15 {
                ledger.submit(object("o\(number)", run())) { result in outcomes.withLock { $0.append(result) } }
            }
        }
        await ledger.close()
        let all = outcomes.withLock { $0 }
        #expect(all.count == 15)
        #expect(all.filter { $0 == .failure(.overloaded(queued: 10, queuedMax: 10)) }.count == 5)
        #expect(ledger.statistics().overloaded == 5)
        #expect(ledger.view.partition(topicID(1), 0)?.highWatermark == 110)
    }

    @Test func aClosedLedgerSaysSo() async throws {
        let ledger = try await openWithTopic()
        await ledger.close()
        await #expect(throws: LedgerError.closed) { try await ledger.submit(.allocateProducerID(count: 1)) }
    }

    @Test func aFencedLedgerStopsServing() async throws {
        let log = MemoryFencedLog()
        let ledger = try await Ledger.open(log: log)
        log.fence()
        await #expect(throws: LedgerError.fenced(epoch: 1, currentEpoch: 2)) {
            try await ledger.submit(.registerSite(site: "s", nowMs: 1))
        }
        #expect(!ledger.isServing)
        await ledger.close()
    }

    @Test func theWholeLedgerReopensFromSQLite() async throws {
        let scratch = try Scratch()
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 20
        for round in 0..<3 as Range<Int64> {
            let ledger = try await Ledger.open(
                log: try SQLiteFencedLog(path: scratch.file), configuration: configuration)
            if round == 0 {
                _ = try await ledger.createTopic(
                    CreateTopic(name: "gnss", id: topicID(1), partitionCount: 3, nowMs: 1))
            }
            #expect(ledger.view.partition(topicID(1), 0)?.highWatermark == round * 300)
            for number in 0..<30 { _ = try await ledger.submit(object("o\(round)-\(number)", run())) }
            await ledger.close()
        }
    }

    @Test func queriesOfTheViewAgreeWithWhatWasCommitted() async throws {
        let ledger = try await openWithTopic()
        _ = try await ledger.submit(object("o1", run(1, 0, minMs: 10, maxMs: 20)))
        _ = try await ledger.submit(object("o2", run(1, 0, minMs: 15, maxMs: 90)))
        _ = try await ledger.submit(object("o3", run(1, 0, minMs: 5, maxMs: 50)))
        let view = ledger.view
        #expect(view.extents(topicID(1), 0, from: 15, maxBytes: 1).map(\.objectKey) == ["o2"])
        #expect(view.extents(topicID(1), 0, from: 15, maxBytes: 101).map(\.objectKey) == ["o2", "o3"])
        #expect(view.extents(topicID(1), 0, from: 0, maxBytes: .max, maxCount: 2).count == 2)
        #expect(view.extents(topicID(1), 0, from: 30, maxBytes: .max).isEmpty)
        #expect(view.extents(topicID(1), 0, from: -1, maxBytes: .max).isEmpty)
        #expect(view.extent(topicID(1), 0, atOrAfter: 21)?.objectKey == "o2")
        #expect(view.extent(topicID(1), 0, atOrAfter: 91) == nil)
        #expect(view.extentOfMaxTimestamp(topicID(1), 0)?.objectKey == "o2")
        #expect(view.partition(topic: "gnss", 0)?.sizeBytes == 300)
        #expect(view.counts().extents == 3)
        await ledger.close()
    }
}
