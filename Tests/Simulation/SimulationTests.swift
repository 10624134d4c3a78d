import Foundation
import Testing

/// Seeds from `first` on, run by two tasks; the environment may ask for others: CAIRN_SEED=n for one, CAIRN_SEEDS=n for so many.
@Suite("Simulation by seed")
struct SimulationTests {
    private static var seeds: Range<UInt64> {
        let environment = ProcessInfo.processInfo.environment
        if let one = environment["CAIRN_SEED"].flatMap(UInt64.init) { return one..<(one + 1) }
        let count = environment["CAIRN_SEEDS"].flatMap(UInt64.init) ?? 1000
        return 1..<(count + 1)
    }

    private static func life(_ seed: UInt64) async -> String? {
        do {
            var world = try await SimulatedWorld(seed: seed)
            do {
                try await world.run(steps: 150)
                return nil
            } catch {
                let last = world.trace.suffix(30).joined(separator: "\n  ")
                return "seed \(seed) (repeat with CAIRN_SEED=\(seed)): \(error)\n  \(last)"
            }
        } catch {
            return "seed \(seed): \(error)"
        }
    }

    @Test("whatever fails, what was acked is delivered once, in order, at dense offsets", .timeLimit(.minutes(30)))
    func exactlyOnce() async {
        let failures = await withTaskGroup(of: [String].self) { group in
            for worker in 0..<2 {
                group.addTask {
                    var found: [String] = []
                    for seed in Self.seeds where Int(seed) % 2 == worker {
                        if let failure = await Self.life(seed) { found.append(failure) }
                        if found.count == 5 { break }
                    }
                    return found
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        for failure in failures { Issue.record("\(failure)") }
        #expect(failures.isEmpty)
    }

    @Test("the same seed gives the same trace", arguments: [UInt64(3), 17, 99])
    func reproducible(seed: UInt64) async throws {
        var first = try await SimulatedWorld(seed: seed)
        try? await first.run(steps: 150)
        var second = try await SimulatedWorld(seed: seed)
        try? await second.run(steps: 150)
        #expect(first.trace == second.trace)
        #expect(first.trace.count > 50)
    }
}
