import Foundation
import Synchronization

/// Hands seeds to workers until there are no more, or enough have failed; gathers what became of them.
final class SeedQueue: Sendable {
    private struct State {
        var next: UInt64
        var failures: [String] = []
        var tally: [String: Int] = [:]
    }

    /// So many are told of; `CAIRN_FAILURES` says otherwise.
    static let failuresMax = ProcessInfo.processInfo.environment["CAIRN_FAILURES"].flatMap(Int.init) ?? 5
    private let end: UInt64
    private let state: Mutex<State>

    init(_ seeds: Range<UInt64>) {
        end = seeds.upperBound
        state = Mutex(State(next: seeds.lowerBound))
    }

    var failures: [String] { state.withLock { $0.failures } }
    var tally: [String: Int] { state.withLock { $0.tally } }

    func next() -> UInt64? {
        state.withLock { state in
            guard state.next < end, state.failures.count < Self.failuresMax else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func played(_ failure: String?, _ tally: [String: Int]) {
        state.withLock { state in
            if let failure { state.failures.append(failure) }
            state.tally.merge(tally, uniquingKeysWith: +)
        }
    }
}
