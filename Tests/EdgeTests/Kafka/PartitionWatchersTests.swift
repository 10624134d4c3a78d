import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import Edge

@Suite struct PartitionWatchersTests {
    static func partition(_ topic: String, _ index: Int32 = 0) -> TopicPartition {
        TopicPartition(topic: topic, partition: index)
    }

    @Test("a watcher is woken once, by its partitions only")
    func once() {
        let watchers = PartitionWatchers()
        let woken = NIOLockedValueBox(0)
        _ = watchers.watch([Self.partition("a"), Self.partition("b")]) { woken.withLockedValue { $0 += 1 } }
        watchers.advanced([Self.partition("a", 1), Self.partition("c")])
        #expect(woken.withLockedValue { $0 } == 0)
        watchers.advanced([Self.partition("b"), Self.partition("a")])
        watchers.advanced([Self.partition("a")])
        #expect(woken.withLockedValue { $0 } == 1)
    }

    @Test("a cancelled watcher is not woken and leaves the others alone")
    func cancel() {
        let watchers = PartitionWatchers()
        let woken = NIOLockedValueBox<[String]>([])
        let first = watchers.watch([Self.partition("a")]) { woken.withLockedValue { $0.append("first") } }
        _ = watchers.watch([Self.partition("a")]) { woken.withLockedValue { $0.append("second") } }
        watchers.cancel(first)
        watchers.cancel(first)
        watchers.advanced([Self.partition("a")])
        #expect(woken.withLockedValue { $0 } == ["second"])
    }

    @Test("what is posted to a mailbox runs in order, in one turn of the loop")
    func mailbox() {
        let loop = EmbeddedEventLoop()
        let mailboxes = LoopMailboxes()
        let mailbox = mailboxes.mailbox(of: loop)
        #expect(mailboxes.mailbox(of: loop) === mailbox)
        let ran = NIOLockedValueBox<[Int]>([])
        for item in 0..<5 { mailbox.post { ran.withLockedValue { $0.append(item) } } }
        #expect(ran.withLockedValue { $0 } == [])
        loop.run()
        #expect(ran.withLockedValue { $0 } == [0, 1, 2, 3, 4])
        mailbox.post { ran.withLockedValue { $0.append(5) } }
        loop.run()
        #expect(ran.withLockedValue { $0 }.last == 5)
    }
}
