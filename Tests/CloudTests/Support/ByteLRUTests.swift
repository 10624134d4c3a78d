import KafkaListener
import NIOCore
import Testing

@testable import Cloud
@testable import GroupCoordination

@Suite("Support")
struct SupportTests {
    @Test("a cache by bytes behaves like a plain list of the newest", arguments: 0..<20)
    func byteLRU(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var cache = ByteLRU<Int, Int>(bytesMax: 100)
        var model: [(key: Int, value: Int, bytes: Int)] = []
        for step in 0..<2_000 {
            let key = Int.random(in: 0..<12, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let bytes = Int.random(in: 1...120, using: &random)
                cache.insert(step, for: key, bytes: bytes)
                model.removeAll { $0.key == key }
                if bytes <= 100 { model.append((key, step, bytes)) }
                while model.reduce(0, { $0 + $1.bytes }) > 100 { model.removeFirst() }
            case 2:
                let found = model.firstIndex { $0.key == key }
                #expect(cache.value(for: key) == found.map { model[$0].value })
                if let found { model.append(model.remove(at: found)) }
            default:
                cache.remove(key)
                model.removeAll { $0.key == key }
            }
            #expect(cache.bytes == model.reduce(0) { $0 + $1.bytes })
            #expect(cache.count == model.count)
        }
    }

    @Test("deadlines come out in order and not before their time", arguments: 0..<10)
    func deadlines(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var heap = DeadlineHeap<Int>()
        let times = (0..<200).map { _ in UInt64.random(in: 0..<1_000, using: &random) }
        for (index, time) in times.enumerated() { heap.insert(.uptimeNanoseconds(time), index) }
        var out: [UInt64] = []
        for now in stride(from: UInt64(0), through: 1_000, by: 50) {
            while let (deadline, item) = heap.popFirst(through: .uptimeNanoseconds(now)) {
                #expect(deadline.uptimeNanoseconds == times[item])
                #expect(deadline.uptimeNanoseconds <= now)
                out.append(deadline.uptimeNanoseconds)
            }
        }
        #expect(out == times.sorted())
        #expect(heap.first == nil)
    }

    @Test("turns are taken by number whatever the order of arrival")
    func turns() async {
        let turns = CommitTurns(first: 1)
        let order = await withTaskGroup(of: Void.self) { group in
            let box = Collected()
            for number in [UInt64(3), 1, 4, 2, 5] {
                group.addTask {
                    await turns.wait(for: number)
                    box.add(number)
                    turns.pass(number)
                }
            }
            await group.waitForAll()
            return box.all
        }
        #expect(order == [1, 2, 3, 4, 5])
    }

    @Test("work that is under way is shared, and done again when asked for later")
    func singleFlight() async {
        let flights = SingleFlight<Int, Int>()
        let runs = Collected()
        let results = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    await flights.run(1) {
                        runs.add(1)
                        try? await Task.sleep(for: .milliseconds(100))
                        return 7
                    }
                }
            }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(results == Array(repeating: 7, count: 10))
        #expect(runs.all.count == 1)
        _ = await flights.run(1) { 8 }
    }

    @Test("a time limit cancels the work and gives its own result")
    func timeLimit() async {
        let slow = await withTimeLimit(.milliseconds(5), clock: ContinuousClock()) {
            do { try await Task.sleep(for: .seconds(3_600)) } catch { return "cancelled" }
            return "done"
        }
        #expect(slow == "cancelled")
        #expect(await withTimeLimit(.seconds(3_600), clock: ContinuousClock()) { 5 } == 5)
    }
}
