import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud

@Suite("What of a log waits for an object")
struct UploadQueueTests {
    private func item(_ lsn: UInt64, bytes: Int = 100) -> UploadQueue.Item {
        UploadQueue.Item(
            place: TopicPartition(topicID: KafkaUUID(high: 1, low: 1), partition: 0), lsn: lsn,
            baseOffset: Int64(lsn) - 1, lastOffset: Int64(lsn) - 1, bytes: bytes)
    }

    private func at(_ milliseconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .milliseconds(milliseconds) }

    private func queue() -> UploadQueue { UploadQueue(objectBytes: 250, interval: .milliseconds(50), uploadsMax: 2) }

    @Test("an object is due by size or by age, and takes whole batches in order")
    func due() throws {
        var queue = queue()
        queue.add(item(1), now: at(0))
        let early = queue.take(now: at(49))
        #expect(early == nil)
        #expect(queue.nextDue == at(50))
        let youngTaken = queue.take(now: at(50))
        let young = try #require(youngTaken)
        #expect(young.items.map(\.lsn) == [1])
        for lsn in 2...6 as ClosedRange<UInt64> { queue.add(item(lsn), now: at(60)) }
        let largeTaken = queue.take(now: at(60))
        let large = try #require(largeTaken)
        #expect(large.items.map(\.lsn) == [2, 3, 4])
        let none = queue.take(now: at(999), all: true)
        #expect(none == nil)
        #expect(queue.waitingBytes == 200 && queue.underWayBytes == 400)
    }

    @Test("the log is held from the lowest batch that is in no object")
    func lowest() throws {
        var queue = queue()
        for lsn in 5...9 as ClosedRange<UInt64> { queue.add(item(lsn), now: at(0)) }
        let firstTaken = queue.take(now: at(0))
        let first = try #require(firstTaken)
        let secondTaken = queue.take(now: at(0), all: true)
        let second = try #require(secondTaken)
        #expect(queue.lowestLSN == 5)
        queue.finished(first.ticket, left: [], now: at(1))
        #expect(queue.lowestLSN == 8)
        queue.finished(second.ticket, left: [item(9)], now: at(1))
        #expect(queue.lowestLSN == 9)
        let lastTaken = queue.take(now: at(1), all: true)
        let last = try #require(lastTaken)
        queue.finished(last.ticket, left: [], now: at(2))
        #expect(queue.isEmpty && queue.lowestLSN == nil && queue.waitingBytes == 0)
    }

    @Test("what the ledger names and the queue does not know is taken in, once")
    func reconcile() {
        var queue = queue()
        queue.add(item(3), now: at(0))
        queue.reconcile([item(1), item(3), item(4)], now: at(1))
        queue.reconcile([item(1), item(3), item(4)], now: at(2))
        let all = queue.take(now: at(2), all: true)
        #expect(all?.items.map(\.lsn) == [1, 3, 4])
    }

    @Test("the tail gives the newest batches by LSN, within its bytes")
    func tail() {
        var tail = LogTail(bytesMax: 30)
        for lsn in [2, 3, 7, 9] as [UInt64] { tail.append(ByteBuffer(repeating: UInt8(lsn), count: 10), lsn: lsn) }
        #expect(tail.batch(2) == nil && tail.batch(4) == nil && tail.batch(10) == nil)
        #expect(tail.batch(7) == ByteBuffer(repeating: 7, count: 10))
        tail.drop(through: 7)
        #expect(tail.batch(7) == nil && tail.batch(9) != nil && tail.bytes == 10)
    }
}
