import KafkaListener
import NIOCore

/// What the gateway remembers about one Kafka connection.
final class EdgeConnection: Sendable {
    let mailbox: LoopMailbox
    let timer: LoopTimer
    /// The Fetch that waits on this connection; there is at most one, because a Fetch does not overlap.
    private let waiting: NIOLoopBoundBox<FetchPoll?>

    private init(_ connection: KafkaConnection, _ services: EdgeServices) {
        mailbox = services.mailboxes.mailbox(of: connection.eventLoop)
        timer = services.timers.timer(of: connection.eventLoop)
        waiting = .makeBoxSendingValue(nil, eventLoop: connection.eventLoop)
    }

    /// On the connection's event loop.
    static func of(_ connection: KafkaConnection, _ services: EdgeServices) -> EdgeConnection {
        if let known = connection.scratch as? EdgeConnection { return known }
        let new = EdgeConnection(connection, services)
        connection.scratch = new
        connection.closeFuture.hop(to: connection.eventLoop).whenComplete { [weak new] _ in
            new?.waiting.value?.cancel()
            new?.waiting.value = nil
        }
        return new
    }

    func begin(_ poll: FetchPoll) {
        waiting.value = poll
        poll.start()
    }

    func ended(_ poll: FetchPoll) {
        if waiting.value === poll { waiting.value = nil }
    }
}
