import Testing

/// Disks that are set back, copied or rot, in lives where nothing is sure but that.
@Suite("Simulation of disks that are not what they were")
struct MishapTests {
    private static let seeds: [UInt64] = Array(1...12)

    /// Plays lives of one kind; what happened in them, together.
    private func play(_ change: @escaping (inout Conditions) -> Void) async throws -> [String: Int] {
        var tally: [String: Int] = [:]
        for seed in Self.seeds {
            var world = try await SimulatedWorld(seed: seed) { conditions in
                conditions.force("none")
                change(&conditions)
            }
            do { try await world.run(steps: 200) } catch {
                let last = world.trace.suffix(30)
                    .joined(separator: "\n  ")
                Issue.record("seed \(seed): \(error)\n  \(last)")
            }
            await world.end()
            tally.merge(world.tally, uniquingKeysWith: +)
        }
        return tally
    }

    @Test("a disk set back loses what was on it and in no object, uses no name twice, and mixes nothing up")
    func setBack() async throws {
        let tally = try await play { $0.isSetBack = true }
        for event in ["set back", "lost with a disk", "went on"] { #expect(tally[event] ?? 0 > 0, "no \(event)") }
    }

    @Test("of two gateways from one disk one goes on under another name; what each took is delivered")
    func copied() async throws {
        let tally = try await play { $0.isCopied = true }
        for event in ["copied", "went on"] { #expect(tally[event] ?? 0 > 0, "no \(event)") }
        #expect(tally["lost with a disk"] ?? 0 == 0)
    }

    @Test("what rots is told as lost, as much as that and no more")
    func rot() async throws {
        let tally = try await play { $0.rotPerMille = 30 }
        for event in ["rot", "rot in the last group", "gap: unreadable", "scrubbed"] {
            #expect(tally[event] ?? 0 > 0, "no \(event)")
        }
        #expect(tally["lost with a disk"] ?? 0 == 0)
    }
}
