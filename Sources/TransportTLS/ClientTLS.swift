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
        var configuration = try read().configuration
        if verifies { configuration.certificateVerification = .fullVerification }
        return configuration
    }

    /// A configuration and what it was made of.
    struct Material {
        var configuration: TLSConfiguration
        /// Of the authorities; empty for those of the system.
        var authorities: [UInt8] = []
        /// All that was read: a change of it is a change.
        var bytes: [UInt8] = []
    }

    func read() throws(TLSFlaw) -> Material {
        var material = Material(configuration: .makeClientConfiguration())
        if dates != .system {
            guard authorities != nil else {
                throw TLSFlaw(description: "dates judged by another clock than the system's need tls-ca")
            }
            // `CertificateCheck` does it instead.
            material.configuration.certificateVerification = .none
        }
        if let authorities {
            let pem = try PEMText(authorities)
            material.configuration.trustRoots = .certificates(try pem.certificates())
            material.authorities = pem.bytes
            material.bytes = pem.bytes
        }
        switch (certificate, key) {
        case (nil, nil): break
        case (let certificate?, let key?):
            let (certificate, key) = (try PEMText(certificate), try PEMText(key))
            let (chain, secret) = try PEMText.pair(certificate: certificate, key: key)
            material.configuration.certificateChain = chain
            material.configuration.privateKey = secret
            material.bytes += certificate.bytes + key.bytes
        default: throw TLSFlaw(description: "a certificate and its key belong together; one of them is missing")
        }
        return material
    }
}
