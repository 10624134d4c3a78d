import Foundation
import Testing

/// Lives by seed. `CAIRN_SEED=n` plays one and prints its trace, `CAIRN_SEEDS=n` plays n, from `CAIRN_SEED_FIRST` on.
/// `CAIRN_MISHAPS` (set-back, copies, rot, none) makes it one kind of bad disk in all of them; else a third have some kind.
@Suite("Simulation by seed")
struct SimulationTests {
    private static let steps = 200
    private static let environment = ProcessInfo.processInfo.environment
    private static let mishaps = environment["CAIRN_MISHAPS"]
    private static let only = environment["CAIRN_SEED"].flatMap(UInt64.init)

    private static var seeds: Range<UInt64> {
        if let only { return only..<(only + 1) }
        let first = environment["CAIRN_SEED_FIRST"].flatMap(UInt64.init) ?? 1
        return first..<(first + (environment["CAIRN_SEEDS"].flatMap(UInt64.init) ?? 5500))
    }

    /// What went wrong in the life of a seed, and how often what happened.
    private static func life(_ seed: UInt64) async -> (failure: String?, tally: [String: Int]) {
        do {
            var world = try await SimulatedWorld(seed: seed) { conditions in
                Self.mishaps.map { conditions.force($0) }
            }
            var failure: String?
            do {
                try await world.run(steps: steps)
            } catch {
                let last = world.trace.suffix(30).joined(separator: "\n  ")
                failure = "seed \(seed) (again with CAIRN_SEED=\(seed)): \(error)\n  \(last)"
            }
            await world.end()
            if only != nil { print(world.trace.joined(separator: "\n")) }
            return (failure, world.tally)
        } catch {
            return ("seed \(seed): \(error)", [:])
        }
    }

    @Test("whatever fails, what is durable is delivered once, in order, where it belongs", .timeLimit(.minutes(60)))
    func exactlyOnce() async {
        let queue = SeedQueue(Self.seeds)
        await withTaskGroup { group in
            for _ in 0..<ProcessInfo.processInfo.activeProcessorCount {
                group.addTask {
                    while let seed = queue.next() {
                        let (failure, tally) = await Self.life(seed)
                        queue.played(failure, tally)
                    }
                }
            }
        }
        for failure in queue.failures { Issue.record("\(failure)") }
        guard Self.only == nil, queue.failures.isEmpty else { return }
        let tally = queue.tally
        print("\(Self.seeds.count) lives, \((tally["simulated minutes"] ?? 0) / 1440) simulated days")
        print(tally.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))
        // A simulation in which nothing goes wrong proves nothing.
        let mishaps = [
            "set back", "lost with a disk", "went on", "copied", "rot", "rot in the last group", "scrubbed",
            "plans forgotten", "gap: unreadable",
        ]
        for event in [
            "appended", "duplicate", "quota", "full", "failed", "power cut", "kill", "takeover", "store down",
            "overlapped", "abandoned", "paused", "resumed", "gap: quotaBytes", "gap: quotaAge", "gap: diskFull",
            "redated", "undated",
        ] + (Self.mishaps == nil ? mishaps : []) {
            #expect(tally[event] ?? 0 > 0, "no \(event) in \(Self.seeds.count) seeds")
        }
    }

    @Test("the same seed gives the same trace", arguments: [UInt64(3), 17, 99])
    func reproducible(seed: UInt64) async throws {
        var traces: [[String]] = []
        for _ in 0..<2 {
            var world = try await SimulatedWorld(seed: seed)
            try? await world.run(steps: Self.steps)
            await world.end()
            traces.append(world.trace)
        }
        #expect(traces[0] == traces[1])
        #expect(traces[0].count > 50)
    }
}
