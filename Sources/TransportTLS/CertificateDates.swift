import CCrypto
public import NIOCore
import NIOSSL

/// By which time the dates of servers' certificates are judged.
public enum CertificateDates: String, Sendable, CaseIterable {
    /// The system's clock, whatever it says.
    case system
    /// The system's clock while it can be right, else the newest time that has certainly passed.
    case known
    /// The system's clock while it can be right; else dates do not matter.
    case ignoreUnknown = "ignore-unknown"
}

/// What time it is for certificates, in seconds since 1970.
public struct CertificateTime: Sendable, Equatable {
    public var seconds: Int64
    /// False: it is only a time that has passed, because the clock cannot be right.
    public var isKnown: Bool

    public init(seconds: Int64, isKnown: Bool) {
        self.seconds = seconds
        self.isKnown = isKnown
    }
}

/// Looks at a server's certificate once the handshake is over and before anything is sent, where BoringSSL was told not to, because it
/// judges dates by the system's clock alone. libcrypto checks authority, host, purpose and dates.
///
/// - The server's own certificate is all that can be seen then: certificates between it and the authority must be in the same file.
/// - A client that has several servers accepts a certificate for any of them.
public struct CertificateCheck: Sendable {
    /// PEM, as it is now.
    let authorities: @Sendable () -> [UInt8]
    let hosts: [String]
    let dates: CertificateDates
    let now: @Sendable () -> CertificateTime

    /// - Parameter channel: a connection whose handshake is over. The future fails, and the channel is closed, where its server cannot be
    ///   trusted.
    @Sendable public func admit(_ channel: any Channel) -> EventLoopFuture<Void> {
        channel.eventLoop.submit {
            // Where nothing can be looked at nothing is trusted.
            let handler = try? channel.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
            guard let leaf = handler?.peerCertificate, let der = try? leaf.toDERBytes() else {
                throw TLSFlaw(description: "TLS: the server showed no certificate")
            }
            if let flaw = flaw(of: der) { throw TLSFlaw(description: flaw) }
        }.flatMapErrorThrowing { error in
            channel.close(promise: nil)
            throw error
        }
    }

    /// Nil for a certificate that is good.
    func flaw(of der: [UInt8]) -> String? {
        let (time, authorities) = (now(), authorities())
        let when = time.isKnown || dates != .ignoreUnknown ? time.seconds : -1
        var reason = "no host"
        for host in hosts {
            guard let flaw = Self.flaw(der, authorities, host, when) else { return nil }
            reason = flaw
        }
        return "TLS: the server's certificate is not trusted here: \(reason)"
            + (time.isKnown ? "" : "; the time is not known here (tls-dates)")
    }

    private static func flaw(_ der: [UInt8], _ authorities: [UInt8], _ host: String, _ when: Int64) -> String? {
        var why = [CChar](repeating: 0, count: 200)
        let isGood = cairn_certificate_check(
            der, der.count, nil, 0, authorities, authorities.count, host, when, &why, why.count)
        guard isGood == 0 else { return nil }
        return String(decoding: why.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
