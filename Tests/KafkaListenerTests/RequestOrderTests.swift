import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KafkaListener

@Suite("The order in which requests take effect")
struct RequestOrderTests {
    private struct Broken: Error {}

    private final class Steps: Sendable {
        private let list = Mutex<[Int]>([])
        func add(_ number: Int) { list.withLock { $0.append(number) } }
        var all: [Int] { list.withLock { $0 } }
    }

    @Test("steps are taken in the order of the requests, whichever work ends first")
    func order() {
        let loop = EmbeddedEventLoop()
        let order = RequestOrder(eventLoop: loop)
        let steps = Steps()
        let works = (0..<4).map { _ in loop.makePromise(of: Int.self) }
        for (number, work) in works.enumerated() {
            order.take(after: work.futureResult) { result in
                if case .success(let value) = result { steps.add(value) } else { steps.add(-number) }
            }
        }
        #expect(!order.isFree)
        works[3].succeed(3)
        works[1].fail(Broken())
        loop.run()
        #expect(steps.all == [])
        works[0].succeed(0)
        loop.run()
        #expect(steps.all == [0, -1], "one that failed holds nobody up")
        works[2].succeed(2)
        loop.run()
        #expect(steps.all == [0, -1, 2, 3])
        #expect(order.isFree)
    }

    @Test("a request whose work has ended takes its step at once where nothing is before it")
    func free() {
        let loop = EmbeddedEventLoop()
        let order = RequestOrder(eventLoop: loop)
        let steps = Steps()
        for number in 0..<3 {
            #expect(order.isFree)
            order.take(after: loop.makeSucceededFuture(number)) { _ in steps.add(number) }
            loop.run()
        }
        #expect(steps.all == [0, 1, 2])
    }
}
