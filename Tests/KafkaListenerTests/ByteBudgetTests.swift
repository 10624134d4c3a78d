import NIOConcurrencyHelpers
import Testing

@testable import KafkaListener

@Suite struct ByteBudgetTests {
    @Test("waiters are served in line, with their bytes reserved")
    func line() {
        let budget = ByteBudget(limitBytes: 10)
        let granted = NIOLockedValueBox<[String]>([])
        #expect(budget.reserve(8))
        #expect(!budget.reserve(6) { granted.withLockedValue { $0.append("six") } })
        #expect(!budget.reserve(1) { granted.withLockedValue { $0.append("one") } })
        #expect(!budget.reserve(1), "nobody passes those who wait")
        budget.release(3)
        #expect(granted.withLockedValue { $0 } == [], "the first in line does not fit yet")
        budget.release(5)
        #expect(granted.withLockedValue { $0 } == ["six", "one"])
        #expect(budget.used == 7)
        #expect(budget.reserve(3))
        #expect(!budget.reserve(1))
    }

    @Test("many threads never exceed the limit and everybody is served")
    func contention() async {
        let budget = ByteBudget(limitBytes: 100)
        let most = NIOLockedValueBox(0)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for round in 0..<200 {
                        let bytes = 1 + (task * 31 + round * 17) % 90
                        await withCheckedContinuation { continuation in
                            if budget.reserve(bytes, orWait: { continuation.resume() }) { continuation.resume() }
                        }
                        most.withLockedValue { $0 = max($0, budget.used) }
                        budget.release(bytes)
                    }
                }
            }
        }
        #expect(budget.used == 0)
        #expect((1...100).contains(most.withLockedValue { $0 }))
    }
}
