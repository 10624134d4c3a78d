import Glibc
public import NIOCore
public import NIOPosix
import Synchronization

/// Sockets that the service manager opened for this process and keeps open while it restarts (sd_listen_fds(3)), so that clients
/// wait in the kernel's queue instead of being refused.
///
/// A listener takes the one that is bound to its address; sockets that no setting names are left alone, and without any
/// every listener binds by itself.
public final class InheritedSockets: Sendable {
    /// Those of this process.
    public static let shared = InheritedSockets(
        processText: getenv("LISTEN_PID").map { String(cString: $0) },
        countText: getenv("LISTEN_FDS").map { String(cString: $0) })

    /// `SD_LISTEN_FDS_START`.
    private static let firstDescriptor: Int32 = 3
    private static let countMax: Int32 = 256
    private let left: Mutex<[Int32]>

    /// - Parameters: `LISTEN_PID` and `LISTEN_FDS` of the environment.
    convenience init(processText: String?, countText: String?) {
        let isOurs = processText.flatMap(Int32.init) == getpid()
        let count = isOurs ? min(Self.countMax, max(0, countText.flatMap(Int32.init) ?? 0)) : 0
        self.init(descriptors: Array(Self.firstDescriptor..<Self.firstDescriptor + count))
    }

    init(descriptors: [Int32]) {
        // Commands that this process runs have no business with them.
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        left = Mutex(descriptors)
    }

    /// The socket of that kind that is bound to the address, once; nil when there is none.
    /// - Parameter type: `SOCK_STREAM` (then it listens already) or `SOCK_DGRAM`.
    func take(_ address: SocketAddress, type: Int32) -> NIOBSDSocket.Handle? {
        left.withLock { left in
            let found = left.firstIndex { Self.type(of: $0) == type && Self.isBound($0, to: address) }
            return found.map { left.remove(at: $0) }
        }
    }

    private static func type(of descriptor: Int32) -> Int32? {
        var type: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 ? type : nil
    }

    private static func isBound(_ descriptor: Int32, to address: SocketAddress) -> Bool {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let bound = withUnsafeMutablePointer(to: &storage) { pointer -> SocketAddress? in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                guard getsockname(descriptor, name, &length) == 0 else { return nil }
                switch Int32(name.pointee.sa_family) {
                case AF_INET:
                    return SocketAddress(UnsafeRawPointer(name).loadUnaligned(as: sockaddr_in.self))
                case AF_INET6:
                    return SocketAddress(UnsafeRawPointer(name).loadUnaligned(as: sockaddr_in6.self))
                default: return nil
                }
            }
        }
        guard let bound, bound.port == address.port else { return false }
        // `ListenStream=9092` is [::], which takes IPv4 too.
        return bound.ipAddress == address.ipAddress || (isAny(bound) && isAny(address))
    }

    private static func isAny(_ address: SocketAddress) -> Bool {
        address.ipAddress == "0.0.0.0" || address.ipAddress == "::"
    }
}

extension ServerBootstrap {
    /// Listens at the address, on the socket that the service manager opened there, if it did.
    public func listen(host: String, port: Int) async throws -> any Channel {
        let address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        guard let socket = InheritedSockets.shared.take(address, type: Int32(SOCK_STREAM.rawValue)) else {
            return try await bind(to: address).get()
        }
        return try await withBoundSocket(socket).get()
    }
}

extension DatagramBootstrap {
    /// Receives at the address, on the socket that the service manager opened there, if it did.
    public func listen(host: String, port: Int) async throws -> any Channel {
        let address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        guard let socket = InheritedSockets.shared.take(address, type: Int32(SOCK_DGRAM.rawValue)) else {
            return try await bind(to: address).get()
        }
        return try await withBoundSocket(socket).get()
    }
}
