import KafkaProtocol
import Synchronization
import Testing

@testable import Ledger

/// A bank: partitions are accounts, a transaction moves money between two or three of them and commits an offset of its
/// teller. Tellers of both protocols, by objects and by logs, meet faults of the ledger's log at every step, takeovers,
/// timeouts, new instances of themselves while the old ones go on, and requests sent twice.
@Suite("A bank whose ledger fails at every step") struct BankTests {
    static let accounts: Int32 = 4

    /// What one record says.
    struct Entry {
        var transfer: Int
        var amount: Int64
        var producerID: Int64
    }

    /// What read_committed consumers see.
    struct Statement {
        /// Amounts by transfer.
        var transfers: [Int: [Int64]] = [:]
        /// The offset that each teller has committed: the number of its last transfer.
        var offsets: [String: Int64] = [:]
    }

    @Test("money is conserved and no transfer is seen by half, whatever fails", arguments: 0..<80 as Range<UInt64>)
    func conserved(seed: UInt64) throws {
        var bank = try Bank(seed: seed)
        for step in 0..<150 {
            bank.step(step)
            try bank.check(seed)
        }
        bank.settle()
        try bank.check(seed)
        try #require(bank.view.copy().transactions.ongoing.isEmpty)
        try #require(!bank.committed.isEmpty, "seed \(seed)")
    }
}

/// One generator for the bank and for the faults of its log.
private final class Dice: Sendable {
    private let random: Mutex<SeededRandom>

    init(seed: UInt64) { random = Mutex(SeededRandom(seed: seed)) }

    func roll(_ sides: Int) -> Int { random.withLock { Int.random(in: 0..<sides, using: &$0) } }
}

/// The sequencer of the moment, over a log that outlives it.
private struct Bank {
    private let log = MemoryFencedLog()
    private let dice: Dice
    private var sequencer: Sequencer
    private var configuration = LedgerConfiguration()
    private var tellers: [Teller] = []
    /// Instances that were taken for dead and go on with what they were doing.
    private var zombies: [Teller] = []
    private var contents: [String: BankTests.Entry] = [:]
    private var nowMs: Int64 = 0
    /// What tellers were told.
    private(set) var committed: Set<Int> = []
    private var aborted: Set<Int> = []

    var view: LedgerView { sequencer.view }

    init(seed: UInt64) throws {
        configuration.snapshotEveryBlobs = 9
        configuration.snapshotPieceBytes = 500
        dice = Dice(seed: seed)
        sequencer = try Sequencer(log: log, configuration: configuration)
        let setup = [create("bank", 1, partitions: BankTests.accounts)]
        guard case .success = sequencer.run(setup[...])[0] else { throw FencedLogError.closed }
        for number in 0..<4 { tellers.append(Teller(number: number)) }
        setFaults(true)
    }

    private func roll(_ sides: Int) -> Int { dice.roll(sides) }

    private func setFaults(_ areOn: Bool) {
        guard areOn else { return log.setFaults(nil) }
        log.setFaults { [dice] _ in
            switch dice.roll(16) {
            case 0: .errorBeforeEffect
            case 1: .errorAfterEffect
            case 2: .errorBeforeLateEffect
            case 3: dice.roll(10) == 0 ? .fencedBefore : nil
            default: nil
            }
        }
    }

    // MARK: Steps

    mutating func step(_ step: Int) {
        nowMs += 100
        let number = roll(tellers.count)
        switch roll(24) {
        case 0, 1: crash(number)
        case 2: submitOverdue(number)
        case 3: reopen()
        case 4: merge(step)
        case 5..<9: haunt()
        default:
            var teller = tellers[number]
            advance(&teller)
            tellers[number] = teller
        }
        _ = sequencer.housekeep()
        if !sequencer.isServing { reopen() }
    }

    /// The log works again, every teller finishes or gives up, and what is left open is aborted as overdue.
    mutating func settle() {
        setFaults(false)
        reopen()
        nowMs += 1_000_000
        for number in tellers.indices { submitOverdue(number) }
    }

    private mutating func reopen() {
        while true {
            guard let next = try? Sequencer(log: log, configuration: configuration) else { continue }
            sequencer = next
            return
        }
    }

    private mutating func submit(_ command: LedgerCommand) -> LedgerAnswer? {
        let answer = try? sequencer.run([command])[0].get()
        guard let answer, sequencer.isServing, roll(4) == 0 else { return answer }
        // The answer was lost and the request comes again: the same answer, unless it asks for the next epoch.
        guard let again = try? sequencer.run([command])[0].get() else { return answer }
        switch command {
        case .initTransaction, .registerNode: return again
        default: break
        }
        #expect(again == answer, "\(command)")
        return again
    }

    private mutating func submitOverdue(_ number: Int) {
        _ = try? sequencer.run([overdue(tellers[number].id, nowMs: nowMs)])[0].get()
    }

    private mutating func crash(_ number: Int) {
        zombies.append(tellers[number])
        tellers[number].crash()
    }

    private mutating func haunt() {
        guard !zombies.isEmpty else { return }
        let number = roll(zombies.count)
        guard zombies[number].isTransferring else {
            zombies.remove(at: number)
            return
        }
        var zombie = zombies[number]
        advance(&zombie)
        zombies[number] = zombie
    }

    private mutating func advance(_ teller: inout Teller) {
        let dice = (0..<4).map { _ in roll(1_000) }
        let command = teller.next(dice, nowMs: nowMs)
        for (place, entry) in teller.written { contents[place] = entry }
        guard let answer = submit(command) else {
            if isRefused(command) { teller.crash() }
            return
        }
        switch teller.heard(answer) {
        case .nothing: break
        case .committed(let transfer): committed.insert(transfer)
        case .aborted(let transfer): aborted.insert(transfer)
        }
    }

    /// A refusal of the whole command is no reason to send it again.
    private mutating func isRefused(_ command: LedgerCommand) -> Bool {
        guard sequencer.isServing, case .failure(.refused) = sequencer.run([command])[0] else { return false }
        return true
    }

    /// Some extents go to another object; the bytes with them.
    private mutating func merge(_ step: Int) {
        let state = view.copy()
        let account = Int32(roll(Int(BankTests.accounts)))
        let shown = state.shown(1, account)
        guard !shown.isEmpty else { return }
        let begin = roll(shown.count)
        let end = min(shown.count - 1, begin + roll(6))
        let key = "merged \(step)"
        for extent in shown[begin...end] {
            for offset in extent.baseOffset...extent.lastOffset {
                contents["\(key) \(account) \(offset)"] = content(extent, account, offset)
            }
        }
        let command = state.rewrite(
            key, account, from: shown[begin].baseOffset, through: shown[end].lastOffset, holdsOffsets: true)
        _ = submit(command)
    }

    // MARK: Reading

    private func content(_ extent: Extent, _ account: Int32, _ offset: Int64) -> BankTests.Entry? {
        switch extent.source {
        case .object:
            contents["\(extent.objectKey) \(extent.position / 100 + offset - extent.baseOffset)"]
        case .objectWithOffsets: contents["\(extent.objectKey) \(account) \(offset)"]
        case .log(let volume, let lsn): contents["\(volume) \(lsn)"]
        case .marker: nil
        }
    }

    private func read(_ state: LedgerState) -> BankTests.Statement {
        var statement = BankTests.Statement()
        for account in 0..<BankTests.accounts {
            let end = state.lastStable(1, account) ?? 0
            let aborted = state.partition(1, account)?.aborted(in: 0..<max(1, end)) ?? []
            for extent in state.shown(1, account) {
                for offset in extent.baseOffset...extent.lastOffset where offset < end {
                    guard let entry = content(extent, account, offset) else { continue }
                    let isAborted = aborted.contains {
                        $0.producerID == entry.producerID && ($0.firstOffset...$0.lastOffset).contains(offset)
                    }
                    if !isAborted { statement.transfers[entry.transfer, default: []].append(entry.amount) }
                }
            }
        }
        for teller in tellers {
            statement.offsets[teller.id] = state.groups.all[teller.id]?[place(1, 0)]?.offset
        }
        return statement
    }

    func check(_ seed: UInt64) throws {
        // As it will be when all that is open now aborts.
        var state = view.copy()
        for id in state.transactions.ongoing.sorted() { try state.submit(overdue(id, nowMs: .max)) }
        let statement = read(state)
        for (transfer, amounts) in statement.transfers {
            let parts = tellers[transfer % tellers.count].parts[transfer]
            try #require(amounts.sorted() == parts?.sorted(), "half a transfer, seed \(seed)")
        }
        try #require(statement.transfers.values.joined().reduce(0, +) == 0, "seed \(seed)")
        try #require(committed.isSubset(of: statement.transfers.keys), "seed \(seed)")
        try #require(aborted.isDisjoint(with: statement.transfers.keys), "seed \(seed)")
        for teller in tellers {
            let last = statement.transfers.keys.filter { $0 % tellers.count == teller.number }.max()
            try #require(statement.offsets[teller.id] == last.map { Int64($0) }, "seed \(seed)")
        }
    }
}

/// Transfers money, one transaction after the other; says what to send, and is told the answer. Without an answer it sends
/// the same again.
private struct Teller {
    enum Fate {
        case nothing
        case committed(Int)
        case aborted(Int)
    }

    private enum Phase {
        case starting, idle, adding, writing, counting
        case ending(commits: Bool)
    }

    let number: Int
    private var phase = Phase.starting
    private var pending: LedgerCommand?
    private var producerID: Int64 = -1
    private var epoch: Int16 = -1
    private var sequences: [Int32: Int32] = [:]
    private var rounds = 0
    private var lsn: Int64 = 0
    private var nodeEpoch: Int64 = 0
    private var isRegistered = false
    /// Accounts and amounts of the transfer under way.
    private var moves: [(account: Int32, amount: Int64)] = []
    /// Of every transfer: what it moves.
    private(set) var parts: [Int: [Int64]] = [:]
    /// Where the entries of the last batches are.
    private(set) var written: [String: BankTests.Entry] = [:]

    init(number: Int) { self.number = number }

    var id: String { "teller \(number)" }
    private var raises: Bool { number % 2 == 0 }
    private var usesLog: Bool { number >= 2 }
    private var volume: KafkaUUID { topicID(800 + UInt64(number)) }
    private var transfer: Int { rounds * 4 + number }

    var isTransferring: Bool {
        switch phase {
        case .starting, .idle: false
        case .adding, .writing, .counting, .ending: true
        }
    }

    /// A new instance knows nothing of what the one before was doing.
    mutating func crash() {
        instance += 1
        phase = .starting
        pending = nil
        nodeEpoch = 0
        isRegistered = false
    }

    mutating func next(_ dice: [Int], nowMs: Int64) -> LedgerCommand {
        written = [:]
        if let pending { return pending }
        let command = decide(dice, nowMs)
        pending = command
        return command
    }

    private mutating func decide(_ dice: [Int], _ nowMs: Int64) -> LedgerCommand {
        if usesLog, !isRegistered {
            // Its epoch fences the instance before, which may still be writing to the same log.
            guard nodeEpoch > 0 else { return .registerNode(nodeID: Int32(number), nowMs: nowMs) }
            return .registerVolume(RegisterVolume(volume: volume, nodeID: Int32(number), nowMs: nowMs))
        }
        switch phase {
        case .starting: return initialise(id, timeoutMs: 3_000, nowMs: nowMs)
        case .idle:
            begin(dice)
            return raises ? write(nowMs) : adding(nowMs)
        case .adding: return adding(nowMs)
        case .writing: return write(nowMs)
        case .counting:
            return addOffset(
                id: id, as: producerID, epoch: epoch, group: id, Int64(transfer), addsGroup: raises, nowMs: nowMs)
        case .ending(let commits):
            return end(commits ? .commit : .abort, id, as: producerID, epoch, raising: raises, nowMs: nowMs)
        }
    }

    private mutating func begin(_ dice: [Int]) {
        rounds += 1
        let amount = Int64(dice[0] + 1)
        let first = Int32(dice[1] % 4)
        moves = [(first, -amount), ((first + 1) % 4, amount)]
        if dice[2] % 3 == 0 {
            moves[1].amount -= 1
            moves.append(((first + 2) % 4, 1))
        }
        parts[transfer] = moves.map(\.amount)
        phase = raises ? .writing : .adding
        willCommit = dice[3] % 3 > 0
    }
    private var willCommit = true

    private func adding(_ nowMs: Int64) -> LedgerCommand {
        add(id: id, as: producerID, epoch, moves.map { place(1, $0.account) }, group: id, nowMs: nowMs)
    }

    /// One move at a time, so that a transfer is cut in every place.
    private mutating func write(_ nowMs: Int64) -> LedgerCommand {
        let (account, amount) = moves[0]
        let first = sequences[account] ?? 0
        // No two instances write under one number, so that it says for good what was written.
        if usesLog { lsn = (lsn / 1_024 + 1) * 1_024 + Int64(instance) }
        let batch = run(
            1, account, at: usesLog ? lsn : 0, records: 1, stamps: [stamp(producerID, epoch: epoch, first...first)],
            raises ? .adds : .added)
        let entry = BankTests.Entry(transfer: transfer, amount: amount, producerID: producerID)
        guard !usesLog else {
            written = ["\(volume) \(lsn)": entry]
            return .commitLog(
                LogCommit(volume: volume, nodeID: Int32(number), nodeEpoch: nodeEpoch, runs: [batch], nowMs: nowMs))
        }
        objects += 1
        let key = "\(id) instance \(instance) object \(objects)"
        written = ["\(key) 0": entry]
        return .commitObject(
            ObjectCommit(key: key, sizeBytes: 1_000, nodeID: Int32(number), nodeEpoch: 1, runs: [batch], nowMs: nowMs))
    }
    private var objects = 0
    private var instance = 0

    mutating func heard(_ answer: LedgerAnswer) -> Fate {
        pending = nil
        switch answer {
        case .nodeEpoch(let epoch): nodeEpoch = epoch
        case .volume(let lastLSN):
            isRegistered = true
            lsn = max(lsn, Int64(lastLSN))
        case .transaction(.accepted(let producerID, let epoch)): return accepted(producerID, epoch)
        case .runs(let outcomes):
            guard case .committed = outcomes[0] else {
                crash()
                break
            }
            sequences[moves[0].account, default: 0] += 1
            moves.removeFirst()
            if moves.isEmpty { phase = .counting }
        case .errorCodes([.none]): phase = .ending(commits: willCommit)
        default: crash()
        }
        return .nothing
    }

    private mutating func accepted(_ producerID: Int64, _ epoch: Int16) -> Fate {
        if (self.producerID, self.epoch) != (producerID, epoch) { sequences = [:] }
        self.producerID = producerID
        self.epoch = epoch
        switch phase {
        case .adding: phase = .writing
        case .ending(let commits):
            phase = .idle
            return commits ? .committed(transfer) : .aborted(transfer)
        default: phase = .idle
        }
        return .nothing
    }
}
