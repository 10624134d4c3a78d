public import NIOSSL

/// What a server shows of itself, and which clients it lets in. Each text is the path of a PEM file, or PEM itself.
public struct ServerTLS: Sendable, Equatable {
    /// The server's certificate and those between it and the authority.
    public var certificate: String
    public var key: String
    /// Clients must have a certificate of one of these; nil: any client may come.
    public var clientAuthorities: String?

    public init(certificate: String, key: String, clientAuthorities: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.clientAuthorities = clientAuthorities
    }

    /// Reads what the texts name, and the bytes it was made of, so that a change can be told. Errors say what is wrong where.
    public func read() throws(TLSFlaw) -> (configuration: TLSConfiguration, bytes: [UInt8]) {
        let (certificate, key) = (try PEMText(certificate), try PEMText(key))
        let (chain, secret) = try PEMText.pair(certificate: certificate, key: key)
        var tls = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: secret)
        var bytes = certificate.bytes + key.bytes
        if let clientAuthorities {
            let authorities = try PEMText(clientAuthorities)
            tls.trustRoots = .certificates(try authorities.certificates())
            // Whoever has no certificate of theirs is refused in the handshake. A client has no host name.
            tls.certificateVerification = .noHostnameVerification
            bytes += authorities.bytes
        }
        return (tls, bytes)
    }
}
