import NIOCore

/// What the kernel is told of each connection to a store. Source: tcp(7).
enum SocketTuning {
    /// - `TCP_NOTSENT_LOWAT`: little waits unsent in the kernel, so that what was handed over has left, a cap shapes the link and not a buffer,
    ///   and an urgent object does not queue behind a slow one's megabytes.
    /// - `TCP_USER_TIMEOUT`: bytes that nobody acknowledges for so long end the connection: a half-open one is found also while a reply is awaited.
    ///
    /// A kernel that refuses either serves without.
    static func apply(to channel: any Channel, _ configuration: S3Configuration) -> EventLoopFuture<Void> {
        let progressMs = Int(TimeAmount(configuration.progressTimeout).nanoseconds / 1_000_000)
        return channel.setOption(option(25), value: 256 << 10)
            .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            .flatMap { channel.setOption(option(18), value: progressMs) }
            .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
    }

    private static func option(_ name: CInt) -> ChannelOptions.Types.SocketOption {
        ChannelOptions.Types.SocketOption(level: .tcp, name: NIOBSDSocket.Option(rawValue: name))
    }
}
