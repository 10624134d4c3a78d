import AsyncHTTPClient
import Glibc
import NIOCore
import NIOPosix

/// What a connection failed with, in words for a person.
enum ConnectionTrouble {
    static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return text(first.error) }
            return "the name \(error.host) has no address"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded:
            return "no answer in time"
        default: return "\(error)"
        }
    }
}
