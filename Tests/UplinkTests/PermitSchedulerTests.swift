import Testing

@testable import Uplink

@Suite("Permit scheduler")
struct PermitSchedulerTests {
    @Test("the last permit is kept for the top priority")
    func reserve() {
        var scheduler = PermitScheduler(permitsMax: 2)
        let bulk = scheduler.request(priority: 2)
        #expect(bulk.isGranted)
        let standard = scheduler.request(priority: 1)
        #expect(!standard.isGranted)
        let critical = scheduler.request(priority: 0)
        #expect(critical.isGranted)
        #expect(scheduler.release(critical.ticket) == [])
        #expect(scheduler.release(bulk.ticket) == [standard.ticket])
        #expect(scheduler.heldCount == 1)
    }

    @Test("while the top priority holds one, the others may have the rest")
    func topHolds() {
        var scheduler = PermitScheduler(permitsMax: 2)
        #expect(scheduler.request(priority: 0).isGranted)
        #expect(scheduler.request(priority: 2).isGranted)
        #expect(!scheduler.request(priority: 0).isGranted)
    }

    @Test("by priority, and first come first served among equals")
    func order() {
        var scheduler = PermitScheduler(permitsMax: 1)
        let holder = scheduler.request(priority: 5)
        let waiters = [2, 1, 2, 0, 1].map { scheduler.request(priority: $0).ticket }
        #expect(scheduler.waitingCount == 5)
        var served = scheduler.release(holder.ticket)
        for _ in 0..<4 { served += scheduler.release(served.last ?? 0) }
        #expect(served == [waiters[3], waiters[1], waiters[4], waiters[0], waiters[2]])
    }

    @Test("who gives up waiting is not served")
    func givesUp() {
        var scheduler = PermitScheduler(permitsMax: 1)
        let holder = scheduler.request(priority: 0)
        let quitter = scheduler.request(priority: 0)
        let patient = scheduler.request(priority: 1)
        #expect(scheduler.release(quitter.ticket) == [])
        #expect(scheduler.release(holder.ticket) == [patient.ticket])
        #expect(scheduler.release(patient.ticket) == [])
        #expect(scheduler.release(patient.ticket) == [])
        #expect(scheduler.heldCount == 0)
    }

    @Test("never more than the permits, always a holder while somebody waits", arguments: 0..<20)
    func bounds(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let permitsMax = Int.random(in: 1...4, using: &random)
        var scheduler = PermitScheduler(permitsMax: permitsMax)
        var held: [PermitScheduler.Ticket] = []
        for _ in 0..<500 {
            if Bool.random(using: &random) || held.isEmpty {
                let request = scheduler.request(priority: Int.random(in: 0...2, using: &random))
                if request.isGranted { held.append(request.ticket) }
            } else {
                held += scheduler.release(held.remove(at: Int.random(in: 0..<held.count, using: &random)))
            }
            #expect(scheduler.heldCount <= permitsMax)
            #expect(scheduler.heldCount == held.count)
            #expect(scheduler.waitingCount == 0 || scheduler.heldCount > 0)
        }
    }

    @Test("tasks get their permits, a cancelled one does not keep the others waiting")
    func tasks() async {
        let permits = PutPermits(permitsMax: 1)
        let first = await permits.acquire(priority: 0)
        let cancelled = Task { await permits.acquire(priority: 0) }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        let second = Task { await permits.acquire(priority: 1) }
        if let first { permits.release(first) }
        #expect(await second.value != nil)
    }
}
