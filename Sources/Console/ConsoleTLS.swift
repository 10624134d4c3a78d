import HummingbirdCore
import Logging
import NIOCore
public import NIOSSL
import Synchronization

/// The certificate of a console, as it is now: it can change while connections go on.
///
/// What is read comes from a closure, so that this module knows no files. A reading that fails changes nothing and is told in
/// ``problem``.
public final class ConsoleTLS: Sendable {
    /// Everything that a server shows and asks for, read together.
    public struct Material: Sendable {
        public var configuration: TLSConfiguration
        /// What it was made of: a change of it is a change.
        public var bytes: [UInt8]
        /// What is to be said of the certificate's end now; nil while there is time.
        public var ending: @Sendable () -> String?

        public init(
            configuration: TLSConfiguration, bytes: [UInt8], ending: @escaping @Sendable () -> String? = { nil }
        ) {
            self.configuration = configuration
            self.bytes = bytes
            self.ending = ending
        }
    }

    private struct State {
        var context: NIOSSLContext
        var bytes: [UInt8]
        var ending: @Sendable () -> String?
        var problem: String?
        /// The last look failed: certificate and key may be written one after the other.
        var isDoubtful = false
    }

    private let state: Mutex<State>
    private let read: @Sendable () throws -> Material
    /// How often a change is looked for.
    static let lookEvery = Duration.seconds(5)

    /// Throws what `read` throws, and for a certificate that cannot be used.
    public init(_ read: @escaping @Sendable () throws -> Material) throws {
        let material = try read()
        self.read = read
        state = Mutex(
            State(
                context: try NIOSSLContext(configuration: material.configuration), bytes: material.bytes,
                ending: material.ending))
    }

    /// Why the certificate is the one from before, or that it ends soon; nil while all is well.
    public var problem: String? {
        let (problem, ending) = state.withLock { ($0.problem, $0.ending) }
        return problem ?? ending().map { "http.tls-certificate: \($0)" }
    }

    /// For the next connection.
    var context: NIOSSLContext { state.withLock { $0.context } }

    /// Looks again, and takes what has changed. Blocks on reads.
    func look(_ logger: Logger) {
        let found: Result<State?, any Error> = Result {
            let material = try read()
            guard material.bytes != state.withLock({ $0.bytes }) else { return nil }
            return State(
                context: try NIOSSLContext(configuration: material.configuration), bytes: material.bytes,
                ending: material.ending)
        }
        switch found {
        case .success(nil): state.withLock { ($0.problem, $0.isDoubtful) = (nil, false) }
        case .success(let new?):
            state.withLock { $0 = new }
            logger.notice("the console shows a new certificate")
        case .failure(let error):
            let text = "http.tls-certificate as it was before: \(error)"
            let isNews = state.withLock { state in
                guard state.isDoubtful else {
                    state.isDoubtful = true
                    return false
                }
                defer { state.problem = text }
                return state.problem != text
            }
            if isNews { logger.error("\(text)") }
        }
    }
}

/// A server's connections with TLS before everything else, each with the certificate of its moment.
struct ReloadingTLSChannel<Base: ServerChildChannel>: ServerChildChannel {
    let base: Base
    let tls: ConsoleTLS

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls.context))
        }.flatMap {
            base.setup(channel: channel, logger: logger)
        }
    }

    func handle(value: Base.Value, logger: Logger) async {
        await base.handle(value: value, logger: logger)
    }
}
