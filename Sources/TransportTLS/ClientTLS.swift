public import NIOSSL

/// How a client knows its servers, and what it shows them of itself. Each text is the path of a PEM file, or PEM itself.
public struct ClientTLS: Sendable, Equatable {
    /// Servers must have a certificate of one of these; nil: of one that the system trusts.
    public var authorities: String?
    /// Certificate chain and key that are shown to servers that ask for them.
    public var certificate: String?
    public var key: String?
    /// All but `.system` need `authorities`.
    public var dates = CertificateDates.system

    public init(
        authorities: String? = nil, certificate: String? = nil, key: String? = nil,
        dates: CertificateDates = .system
    ) {
        self.dates = dates
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
    }

    /// Reads what the texts name. Errors say which file, and what it should hold.
    /// - Parameter verifies: the handshake ends for servers that are not trusted, or asks a callback, also where ``check(hosts:now:)``
    ///   would do it.
    public func configuration(verifies: Bool = false) throws(TLSFlaw) -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if dates != .system {
            guard authorities != nil else {
                throw TLSFlaw(description: "dates judged by another clock than the system's need tls-ca")
            }
            // `CertificateCheck` does it instead.
            tls.certificateVerification = verifies ? .fullVerification : .none
        }
        if let authorities { tls.trustRoots = .certificates(try PEMText(authorities).certificates()) }
        switch (certificate, key) {
        case (nil, nil): break
        case (let certificate?, let key?):
            let (chain, secret) = try PEMText.pair(certificate: PEMText(certificate), key: PEMText(key))
            tls.certificateChain = chain
            tls.privateKey = secret
        default: throw TLSFlaw(description: "a certificate and its key belong together; one of them is missing")
        }
        return tls
    }

    /// What ``configuration()`` leaves to be checked of each connection to one of `hosts` (names or addresses, without a port);
    /// nil: nothing.
    public func check(
        hosts: [String], now: @escaping @Sendable () -> CertificateTime
    ) throws(TLSFlaw) -> CertificateCheck? {
        guard dates != .system, let authorities else { return nil }
        return CertificateCheck(authorities: try PEMText(authorities).bytes, hosts: hosts, dates: dates, now: now)
    }
}
