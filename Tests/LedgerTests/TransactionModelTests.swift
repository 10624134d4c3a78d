import KafkaProtocol
import Testing

@testable import Ledger

/// Objects, logs, rewrites and transactions against a twin so simple that it is seen to be right: every partition is the
/// list of its records, each with the place where it lies and the transaction that decides it.
@Suite("Transactions, logs and rewrites do what their twin does") struct TransactionModelTests {
    struct Record: Equatable {
        /// The key of its object, the LSN in the log, or the marker.
        var origin: String
        var producerID: Int64 = -1
        /// Of the twin's list; nil for records outside transactions and markers.
        var transaction: Int?
        var isMarker = false
    }

    enum Fate { case open, committed, aborted }

    struct Partition {
        var records: [Record] = []
        var logStart = 0
        /// The first record that is not decided, or the end.
        func lastStable(_ fates: [Fate]) -> Int {
            let open = records.firstIndex { record in record.transaction.map { fates[$0] == .open } ?? false }
            return max(logStart, open ?? records.count)
        }
    }

    struct Producer {
        var id: String
        /// Speaks the second protocol.
        var raises: Bool
        var producerID: Int64 = -1
        var epoch: Int16 = -1
        var transaction: Int?
        var members: Set<Int32> = []
        var sequences: [Int32: Int32] = [:]
        var pending: Int64?
        /// Producer id and epoch of the instance before.
        var former: (producerID: Int64, epoch: Int16)?
    }

    struct Twin {
        var partitions = Array(repeating: Partition(), count: 3)
        var fates: [Fate] = []
        var producers = (0..<4).map { Producer(id: "t\($0)", raises: $0 % 2 == 0) }
        var offsets: [String: Int64] = [:]
        var lsn: Int64 = 0
        var keys: [String] = []

        /// The transaction of a producer ends: markers where it took part, and the offset that waited.
        mutating func end(_ number: Int, _ fate: Fate, epoch: Int16) {
            let producer = producers[number]
            for place in producer.members.sorted() {
                let origin = "marker \(producer.producerID) \(epoch) \(fate == .committed)"
                partitions[Int(place)].records.append(
                    Record(origin: origin, producerID: producer.producerID, isMarker: true))
            }
            if let transaction = producer.transaction { fates[transaction] = fate }
            if let pending = producer.pending, fate == .committed { offsets[producer.id] = pending }
            producers[number].transaction = nil
            producers[number].members = []
            producers[number].pending = nil
        }

        mutating func becomes(_ number: Int, _ producerID: Int64, _ epoch: Int16) {
            let old = producers[number]
            if (old.producerID, old.epoch) == (producerID, epoch) { return }
            if old.producerID >= 0 { producers[number].former = (old.producerID, old.epoch) }
            producers[number].producerID = producerID
            producers[number].epoch = epoch
            producers[number].sequences = [:]
        }

        mutating func begin(_ number: Int) -> Int {
            if let present = producers[number].transaction { return present }
            fates.append(.open)
            producers[number].transaction = fates.count - 1
            return fates.count - 1
        }
    }

    /// The state, and a copy of it that hears of records only through their stored form.
    struct Subject {
        var state = LedgerState()
        var replica = LedgerState()

        mutating func submit(_ command: LedgerCommand) throws -> LedgerAnswer {
            let decision = try state.decide(LedgerCommand(decoding: command.encoded()))
            let blob = LedgerBatch(sequence: 1, epoch: 1, records: decision.records).encoded()
            for record in decision.records { state.apply(record) }
            for record in try LedgerBatch(decoding: blob).records { replica.apply(record) }
            return decision.answer
        }
    }

    @Test(
        "offsets are dense, extents cover them, and every record is decided as in the twin",
        arguments: 0..<60 as Range<UInt64>)
    func sameAsTwin(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var subject = Subject()
        var twin = Twin()
        _ = try subject.submit(create("t", 1, partitions: 3))
        _ = try subject.submit(register())
        try age(&subject, &twin)
        var stable: [Int64] = [0, 0, 0]
        for step in 0..<120 {
            let nowMs = Int64(step) * 100
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<8: try produce(&subject, &twin, step, nowMs, &random)
            case 8..<10: try plain(&subject, &twin, step, &random)
            case 10..<14: try endSome(&subject, &twin, nowMs, &random)
            case 14: try initialiseSome(&subject, &twin, nowMs, &random)
            case 15: try expireSome(&subject, &twin, nowMs, &random)
            case 16: try tryAsZombie(&subject, twin, nowMs, &random)
            case 17: try advanceSome(&subject, &twin, &random)
            default: try rewriteSome(&subject, &twin, step, &random)
            }
            let snapshot = subject.state.encodedSnapshot()
            let reloaded = try LedgerState(decodingSnapshot: snapshot)
            try #require(reloaded.encodedSnapshot() == snapshot)
            try #require(subject.replica.encodedSnapshot() == snapshot)
            if step % 10 == 0 { subject.state = reloaded }
            for partition in 0..<3 {
                let next = subject.state.lastStable(1, Int32(partition)) ?? -1
                try #require(next >= stable[partition])
                stable[partition] = next
                try check(subject.state, twin, partition, &random)
            }
            try checkObjects(subject.state, twin)
        }
    }

    /// Some ids are near the end of their epochs.
    private func age(_ subject: inout Subject, _ twin: inout Twin) throws {
        for number in twin.producers.indices {
            let id = twin.producers[number].id
            guard case .transaction(.accepted(let producerID, let epoch)) = try subject.submit(initialise(id))
            else { continue }
            twin.becomes(number, producerID, epoch)
            guard number < 2 else { continue }
            let aged = TransactionInitialised(
                transactionalID: id, producerID: producerID, epoch: Int16.max - 4, timeoutMs: 60_000, nowMs: 0)
            subject.state.apply(.transactionInitialised(aged))
            subject.replica.apply(.transactionInitialised(aged))
            twin.becomes(number, producerID, Int16.max - 4)
        }
    }

    // MARK: Steps

    /// Batches of one producer, in its transaction, by an object or by the log.
    private func produce(
        _ subject: inout Subject, _ twin: inout Twin, _ step: Int, _ nowMs: Int64, _ random: inout SeededRandom
    ) throws {
        let number = Int.random(in: 0..<4, using: &random)
        let producer = twin.producers[number]
        let inLog = Bool.random(using: &random)
        var runs: [RunCommit] = []
        var expected: [RunOutcome] = []
        for index in 0..<Int64.random(in: 1...3, using: &random) {
            let partition = Int32.random(in: 0..<3, using: &random)
            let transaction = twin.begin(number)
            if !producer.raises, !twin.producers[number].members.contains(partition) {
                let adding = add(id: producer.id, as: producer.producerID, producer.epoch, [place(1, partition)])
                try #require(try subject.submit(adding) == accepted(producer.producerID, producer.epoch))
            }
            twin.producers[number].members.insert(partition)
            let first = twin.producers[number].sequences[partition] ?? 0
            twin.producers[number].sequences[partition] = first + 2
            if inLog { twin.lsn += 1 }
            runs.append(
                run(
                    1, partition, at: inLog ? twin.lsn : index * 100, records: 2,
                    stamps: [stamp(producer.producerID, epoch: producer.epoch, first...first + 1)],
                    producer.raises ? .adds : .added))
            let base = twin.partitions[Int(partition)].records.count
            expected.append(
                .committed(baseOffset: Int64(base), logStart: Int64(twin.partitions[Int(partition)].logStart)))
            let origin = inLog ? "log \(twin.lsn)" : "o\(step)"
            let record = Record(origin: origin, producerID: producer.producerID, transaction: transaction)
            twin.partitions[Int(partition)].records += [record, record]
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            let offset = Int64(step)
            let adding = addOffset(
                id: producer.id, as: producer.producerID, epoch: producer.epoch, group: producer.id, offset,
                addsGroup: true
            )
            try #require(try subject.submit(adding) == .errorCodes([.none]))
            twin.producers[number].pending = offset
        }
        try commit(&subject, &twin, runs, inLog, step, expected)
    }

    private func commit(
        _ subject: inout Subject, _ twin: inout Twin, _ runs: [RunCommit], _ inLog: Bool, _ step: Int,
        _ expected: [RunOutcome]
    ) throws {
        let command: LedgerCommand =
            inLog
            ? .commitLog(LogCommit(volume: volumeID, nodeID: 1, nodeEpoch: 1, runs: runs, nowMs: Int64(step)))
            : .commitObject(
                ObjectCommit(
                    key: "o\(step)", sizeBytes: 10_000, nodeID: 1, nodeEpoch: 1, runs: runs, nowMs: Int64(step)))
        if !inLog { twin.keys.append("o\(step)") }
        try #require(try subject.submit(command) == .runs(expected))
        // Repeated at once, it has the same answer and no effect.
        try #require(try subject.state.decide(command) == LedgerDecision(answer: .runs(expected)))
    }

    /// Batches outside transactions.
    private func plain(
        _ subject: inout Subject, _ twin: inout Twin, _ step: Int, _ random: inout SeededRandom
    ) throws {
        let inLog = Bool.random(using: &random)
        let partition = Int32.random(in: 0...3, using: &random)
        if inLog { twin.lsn += 1 }
        let runs = [run(1, partition, at: inLog ? twin.lsn : 0, records: 3)]
        var outcome = RunOutcome.rejected(.unknownTopicOrPartition)
        if partition < 3 {
            let present = twin.partitions[Int(partition)]
            outcome = .committed(baseOffset: Int64(present.records.count), logStart: Int64(present.logStart))
            let record = Record(origin: inLog ? "log \(twin.lsn)" : "o\(step)")
            twin.partitions[Int(partition)].records += [record, record, record]
        }
        try commit(&subject, &twin, runs, inLog, step, [outcome])
    }

    private func endSome(
        _ subject: inout Subject, _ twin: inout Twin, _ nowMs: Int64, _ random: inout SeededRandom
    ) throws {
        let number = Int.random(in: 0..<4, using: &random)
        let producer = twin.producers[number]
        let way = Bool.random(using: &random) ? End.commit : .abort
        let command = end(
            way, producer.id, as: producer.producerID, producer.epoch, raising: producer.raises, nowMs: nowMs)
        let answer = try subject.submit(command)
        guard case .transaction(.accepted(let producerID, let epoch)) = answer else {
            try #require(producer.transaction == nil)
            return
        }
        try #require(try subject.state.decide(command) == LedgerDecision(answer: answer))
        let isExhausted = producer.raises && producer.epoch == Int16.max - 1
        try #require(epoch == (isExhausted ? 0 : producer.raises ? producer.epoch + 1 : producer.epoch))
        try #require((producerID == producer.producerID) == !isExhausted)
        twin.end(number, way == .commit ? .committed : .aborted, epoch: producer.epoch + (producer.raises ? 1 : 0))
        twin.becomes(number, producerID, epoch)
    }

    private func initialiseSome(
        _ subject: inout Subject, _ twin: inout Twin, _ nowMs: Int64, _ random: inout SeededRandom
    ) throws {
        let number = Int.random(in: 0..<4, using: &random)
        let producer = twin.producers[number]
        let namesItself = Bool.random(using: &random)
        let command = LedgerCommand.initTransaction(
            InitTransaction(
                transactionalID: producer.id, timeoutMs: 60_000, producerID: namesItself ? producer.producerID : -1,
                epoch: namesItself ? producer.epoch : -1, nowMs: nowMs))
        let answer = try subject.submit(command)
        guard case .transaction(.accepted(let producerID, let epoch)) = answer else {
            Issue.record("\(answer)")
            return
        }
        try #require(producerID != producer.producerID || epoch != producer.epoch)
        if namesItself { try #require(try subject.state.decide(command) == LedgerDecision(answer: answer)) }
        if producer.transaction != nil { twin.end(number, .aborted, epoch: producer.epoch + 1) }
        twin.becomes(number, producerID, epoch)
    }

    private func expireSome(
        _ subject: inout Subject, _ twin: inout Twin, _ nowMs: Int64, _ random: inout SeededRandom
    ) throws {
        let number = Int.random(in: 0..<4, using: &random)
        let producer = twin.producers[number]
        let late = Bool.random(using: &random)
        try #require(try subject.submit(overdue(producer.id, nowMs: late ? nowMs + 100_000 : 0)) == .done)
        guard late, producer.transaction != nil, let present = subject.state.transactions.all[producer.id] else {
            return
        }
        twin.end(number, .aborted, epoch: producer.epoch + 1)
        twin.becomes(number, present.producerID, present.epoch)
    }

    /// Whatever an instance of before asks for is refused.
    private func tryAsZombie(
        _ subject: inout Subject, _ twin: Twin, _ nowMs: Int64, _ random: inout SeededRandom
    ) throws {
        let producer = twin.producers[Int.random(in: 0..<4, using: &random)]
        guard let (producerID, epoch) = producer.former else { return }
        let partition = Int32.random(in: 0..<3, using: &random)
        let use: TransactionUse = producer.raises ? .adds : .added
        let batch = try subject.state.decide(
            object("zombie", run(1, partition, stamps: [stamp(producerID, epoch: epoch, 100_000...100_001)], use)))
        guard case .runs(let outcomes) = batch.answer, case .rejected = outcomes[0] else {
            Issue.record("\(batch.answer)")
            return
        }
        let adding = try subject.state.decide(add(id: producer.id, as: producerID, epoch, [place(1, partition)]))
        try #require(adding.records.isEmpty)
        let ending = try subject.state.decide(
            end(.commit, producer.id, as: producerID, epoch, raising: producer.raises))
        try #require(ending.records.isEmpty)
    }

    private func advanceSome(_ subject: inout Subject, _ twin: inout Twin, _ random: inout SeededRandom) throws {
        let partition = Int.random(in: 0..<3, using: &random)
        let wanted = Int.random(in: 0...twin.partitions[partition].records.count, using: &random)
        _ = try subject.submit(advance(1, Int32(partition), to: Int64(wanted)))
        twin.partitions[partition].logStart = max(wanted, twin.partitions[partition].logStart)
    }

    private func rewriteSome(
        _ subject: inout Subject, _ twin: inout Twin, _ step: Int, _ random: inout SeededRandom
    ) throws {
        var runs: [RewrittenRun] = []
        var expected: [RunOutcome] = []
        twin.keys.append("r\(step)")
        for partition in 0..<3 as Range<Int32> {
            let extents = subject.state.shown(1, partition)
            var begin = 0
            while begin < extents.count, Int.random(in: 0..<4, using: &random) > 0 {
                begin = Int.random(in: begin..<extents.count, using: &random)
                let end = Int.random(in: begin..<min(extents.count, begin + 8), using: &random)
                let (first, last) = (extents[begin].baseOffset, extents[end].lastOffset)
                var run = subject.state.rewritten(
                    partition, from: first, through: last, at: Int64(runs.count) * 50)
                begin = end + 1
                let isStale = Int.random(in: 0..<5, using: &random) == 0
                if isStale { run.fingerprint ^= 1 }
                runs.append(run)
                let logStart = Int64(twin.partitions[Int(partition)].logStart)
                expected.append(
                    isStale ? .rejected(.offsetOutOfRange) : .committed(baseOffset: first, logStart: logStart))
                guard !isStale else { continue }
                for offset in first...last { twin.partitions[Int(partition)].records[Int(offset)].origin = "r\(step)" }
            }
        }
        let command = subject.state.rewrite("r\(step)", runs, holdsOffsets: Bool.random(using: &random))
        try #require(try subject.submit(command) == .runs(expected))
        try #require(try subject.state.decide(command) == LedgerDecision(answer: .runs(expected)))
    }

    // MARK: Checks

    private func check(_ state: LedgerState, _ twin: Twin, _ number: Int, _ random: inout SeededRandom) throws {
        let partition = twin.partitions[number]
        let facts = state.partition(1, Int32(number))?.facts
        try #require(facts?.highWatermark == Int64(partition.records.count))
        try #require(facts?.logStart == Int64(partition.logStart))
        let stable = partition.lastStable(twin.fates)
        try #require(facts?.lastStableOffset == Int64(stable))
        let extents = state.shown(1, Int32(number))
        try #require(facts?.sizeBytes == extents.reduce(0) { $0 + $1.lengthBytes })
        try #require(facts?.extentCount == extents.count)
        var next = Int64(partition.logStart)
        for extent in extents {
            try #require(extent.baseOffset <= next && extent.lastOffset >= next)
            for offset in next...max(next, extent.lastOffset) {
                try #require(partition.records[Int(offset)].origin == origin(extent))
            }
            next = extent.lastOffset + 1
        }
        try #require(next == Int64(partition.records.count))
        guard partition.logStart < stable else { return }
        let from = Int.random(in: partition.logStart..<stable, using: &random)
        let visible = (from..<stable).filter { offset in
            let record = partition.records[offset]
            return !record.isMarker && record.transaction.map { twin.fates[$0] == .committed } ?? true
        }
        try #require(readCommitted(state, partition, number, from..<stable) == visible)
    }

    private func origin(_ extent: Extent) -> String {
        switch extent.source {
        case .object, .objectWithOffsets: extent.objectKey
        case .log(_, let lsn): "log \(lsn)"
        case .marker(let marker): "marker \(marker.producerID) \(marker.epoch) \(marker.commits)"
        }
    }

    /// What a consumer keeps of the records it is sent. Source: Kafka's `CompletedFetch`.
    private func readCommitted(
        _ state: LedgerState, _ partition: Partition, _ number: Int, _ offsets: Range<Int>
    ) -> [Int] {
        let range = Int64(offsets.lowerBound)..<Int64(offsets.upperBound)
        var aborted = state.partition(1, Int32(number))?.aborted(in: range)[...] ?? []
        var skipped: Set<Int64> = []
        return offsets.filter { offset in
            while let first = aborted.first, first.firstOffset <= Int64(offset) {
                skipped.insert(first.producerID)
                aborted.removeFirst()
            }
            let record = partition.records[offset]
            if record.isMarker {
                skipped.remove(record.producerID)
                return false
            }
            return record.transaction == nil || !skipped.contains(record.producerID)
        }
    }

    private func checkObjects(_ state: LedgerState, _ twin: Twin) throws {
        let named = Set(twin.partitions.flatMap { $0.records[$0.logStart...].map(\.origin) })
        for key in twin.keys {
            let facts = state.objects.facts(key)
            try #require((facts?.state == .live) == named.contains(key))
        }
        for producer in twin.producers {
            try #require(state.groups.all[producer.id]?[place(1, 0)]?.offset == twin.offsets[producer.id])
        }
        try #require(state.logExtents(of: volumeID).count == Set(named.filter { $0.hasPrefix("log ") }).count)
    }
}
