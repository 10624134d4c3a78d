import NIOCore
import NIOPosix
import NIOSSL
import TransportTLS

/// Asks a server for its certificates, whether they are good or not: nothing is sent but the handshake.
enum CertificateProbe {
    private static let connectLimit = TimeAmount.seconds(5)

    /// Ends within `limit`.
    static func look(
        _ server: CertificateFindings.Server, within limit: Duration
    ) async -> CertificateFindings.Answer {
        let answer = await Bounded.run(limit) { () -> CertificateFindings.Answer in
            do {
                let chain = try await chain(of: server)
                return .shown(chain.compactMap { (try? $0.toDERBytes()).flatMap(CertificateFacts.init(der:)) })
            } catch {
                return TLSTrouble.text(error).map { .failed($0) }
                    ?? .unreachable("no connection (\(ConnectionTrouble.text(error)))")
            }
        }
        return answer ?? .unreachable("no answer within \(limit.components.seconds) s")
    }

    private static func chain(of server: CertificateFindings.Server) async throws -> [NIOSSLCertificate] {
        let context = try NIOSSLContext(configuration: try server.tls.configuration(verifies: true))
        let isAddress = (try? SocketAddress(ipAddress: server.host, port: 0)) != nil
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let shown = loop.makePromise(of: [NIOSSLCertificate].self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(connectLimit)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = try NIOSSLClientHandler(
                        context: context, serverHostname: isAddress ? nil : server.host
                    ) { chain, verdict in
                        shown.succeed(chain)
                        verdict.succeed(.certificateVerified)
                    }
                    try channel.pipeline.syncOperations.addHandlers(handler, FailureWatch(shown: shown))
                }
            }
        let channel: any Channel
        do {
            channel = try await bootstrap.connect(host: server.host, port: server.port).get()
        } catch {
            shown.fail(error)
            throw error
        }
        defer { channel.close(promise: nil) }
        return try await withTaskCancellationHandler {
            try await shown.futureResult.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }

    /// Ends the wait when no certificate will come any more.
    private final class FailureWatch: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let shown: EventLoopPromise<[NIOSSLCertificate]>

        init(shown: EventLoopPromise<[NIOSSLCertificate]>) { self.shown = shown }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            shown.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            shown.fail(ChannelError.eof)
            context.fireChannelInactive()
        }
    }
}
