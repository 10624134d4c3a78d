import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import KafkaListener

@Suite("Sockets of the service manager")
struct InheritedSocketsTests {
    /// A bound socket as the service manager hands it over, and its port.
    static func bound(_ type: Int32, host: String = "127.0.0.1") throws -> (descriptor: Int32, port: Int) {
        let address = try SocketAddress(ipAddress: host, port: 0)
        let descriptor = socket(host.contains(":") ? AF_INET6 : AF_INET, type, 0)
        try #require(descriptor >= 0)
        try #require(address.withSockAddr { bind(descriptor, $0, socklen_t($1)) } == 0)
        if type == Int32(SOCK_STREAM.rawValue) { try #require(listen(descriptor, 16) == 0) }
        var name = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name -> SocketAddress? in
                guard getsockname(descriptor, name, &length) == 0 else { return nil }
                return host.contains(":")
                    ? SocketAddress(UnsafeRawPointer(name).loadUnaligned(as: sockaddr_in6.self))
                    : SocketAddress(UnsafeRawPointer(name).loadUnaligned(as: sockaddr_in.self))
            }
        }
        let port = try #require(found?.port)
        return (descriptor, port)
    }

    static let stream = Int32(SOCK_STREAM.rawValue)
    static let datagram = Int32(SOCK_DGRAM.rawValue)

    @Test("a socket is taken once, by the listener of its address and kind")
    func taking() throws {
        let (first, port) = try Self.bound(Self.stream)
        let (second, _) = try Self.bound(Self.datagram)
        defer {
            close(first)
            close(second)
        }
        let sockets = InheritedSockets(descriptors: [second, first])
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        #expect(sockets.take(address, type: Self.datagram) == nil)
        #expect(sockets.take(try SocketAddress(ipAddress: "127.0.0.1", port: port ^ 1), type: Self.stream) == nil)
        #expect(sockets.take(try SocketAddress(ipAddress: "0.0.0.0", port: port), type: Self.stream) == nil)
        #expect(sockets.take(address, type: Self.stream) == first)
        #expect(sockets.take(address, type: Self.stream) == nil)
    }

    @Test("one on all addresses of IPv6 serves a setting of all addresses of IPv4")
    func wildcards() throws {
        let (descriptor, port) = try Self.bound(Self.stream, host: "::")
        defer { close(descriptor) }
        let sockets = InheritedSockets(descriptors: [descriptor])
        #expect(sockets.take(try SocketAddress(ipAddress: "0.0.0.0", port: port), type: Self.stream) == descriptor)
    }

    @Test("variables for another process, or of none, give nothing")
    func variables() throws {
        let (descriptor, port) = try Self.bound(Self.stream)
        defer { close(descriptor) }
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        #expect(InheritedSockets(processText: nil, countText: "9").take(address, type: Self.stream) == nil)
        #expect(InheritedSockets(processText: "1", countText: "9").take(address, type: Self.stream) == nil)
        #expect(
            InheritedSockets(processText: "\(getpid())", countText: "-3").take(address, type: Self.stream) == nil)
    }

    @Test("who connected before the listener was there is accepted by it")
    func waiting() async throws {
        let (descriptor, port) = try Self.bound(Self.stream)
        let group = MultiThreadedEventLoopGroup.singleton
        let client = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        let accepted = group.any().makePromise(of: Int?.self)
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                accepted.succeed(channel.remoteAddress?.port)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .withBoundSocket(descriptor).get()
        group.any().scheduleTask(in: .seconds(20)) { accepted.succeed(nil) }
        #expect(try await accepted.futureResult.get() == client.localAddress?.port)
        try await client.close()
        try await server.close()
    }
}
