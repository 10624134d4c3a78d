public import NIOSSL
import SmallFiles

/// What is wrong with certificates or keys, and what would be right.
public struct TLSFlaw: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
}

/// PEM, or the path of a file with it.
public struct PEMText: Sendable {
    private let name: String
    public let bytes: [UInt8]

    /// A certificate or key is a few KiB; a chain with all public authorities is below 1 MiB.
    private static let bytesMax = 4 << 20

    public init(_ text: String) throws(TLSFlaw) {
        if text.contains("-----BEGIN ") {
            name = "PEM text"
            bytes = Array(text.utf8)
            return
        }
        name = text
        do {
            bytes = try SmallFile.read(text, bytesMax: Self.bytesMax)
        } catch {
            throw TLSFlaw(description: "\(text): \(error)")
        }
    }

    /// At least one.
    public func certificates() throws(TLSFlaw) -> [NIOSSLCertificate] {
        let found: [NIOSSLCertificate]
        do {
            found = try NIOSSLCertificate.fromPEMBytes(bytes)
        } catch {
            throw TLSFlaw(description: "\(name): expected certificates as PEM (-----BEGIN CERTIFICATE-----)")
        }
        guard !found.isEmpty else { throw TLSFlaw(description: "\(name): no certificate in it") }
        return found
    }

    private func privateKey() throws(TLSFlaw) -> NIOSSLPrivateKey {
        do {
            return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
        } catch {
            throw TLSFlaw(description: "\(name): expected a private key as PEM, without a passphrase")
        }
    }

    /// A chain, the server's or client's own certificate first, and its key; refused where they do not belong together.
    static func pair(
        certificate: PEMText, key: PEMText
    ) throws(TLSFlaw) -> ([NIOSSLCertificateSource], NIOSSLPrivateKeySource) {
        let chain = try certificate.certificates()
        let secret = try key.privateKey()
        var trial = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(secret))
        trial.trustRoots = nil
        do {
            _ = try NIOSSLContext(configuration: trial)
        } catch {
            throw TLSFlaw(description: "certificate and key do not belong together: \(error)")
        }
        return (chain.map { .certificate($0) }, .privateKey(secret))
    }
}
