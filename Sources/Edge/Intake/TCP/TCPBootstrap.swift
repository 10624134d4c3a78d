import NIOCore
import NIOPosix

/// Sockets as all stream listeners want them: read on demand, and a bounded amount of unread bytes in the kernel, since on a
/// reset or an end of stream these arrive at once.
enum TCPBootstrap {
    static let receiveBufferBytes = 256 * 1024
    static let readBytesMax = 64 * 1024

    static func server(_ group: any EventLoopGroup) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 256)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(ChannelOptions.socketOption(.so_rcvbuf), value: receiveBufferBytes)
            .childChannelOption(ChannelOptions.autoRead, value: false)
            .childChannelOption(ChannelOptions.maxMessagesPerRead, value: 1)
            .childChannelOption(ChannelOptions.recvAllocator, value: allocator)
            .childChannelOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
    }

    static func client(_ group: any EventLoopGroup) -> ClientBootstrap {
        ClientBootstrap(group: group)
            .channelOption(ChannelOptions.autoRead, value: false)
            .channelOption(ChannelOptions.maxMessagesPerRead, value: 1)
            .channelOption(ChannelOptions.recvAllocator, value: allocator)
            .channelOption(ChannelOptions.socketOption(.so_rcvbuf), value: receiveBufferBytes)
            .channelOption(ChannelOptions.socketOption(.so_keepalive), value: 1)
    }

    /// Starts small: a base station sends two kilobytes each second.
    private static var allocator: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: readBytesMax)
    }
}
