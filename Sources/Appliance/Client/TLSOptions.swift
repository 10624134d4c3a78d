import ArgumentParser
import TransportTLS

/// How a command knows a cloud node that speaks TLS, and what it shows to it.
struct TLSOptions: ParsableArguments {
    @Option(help: "Authorities of an https:// node: a PEM file. None: those the system trusts.")
    var tlsCa: String?
    @Option(help: "Shown to a node that asks for a certificate: a PEM file.") var tlsCertificate: String?
    @Option(help: "Its private key: a PEM file.") var tlsKey: String?

    var client: ClientTLS { ClientTLS(authorities: tlsCa, certificate: tlsCertificate, key: tlsKey) }

    func validate() throws {
        do {
            _ = try client.configuration()
        } catch {
            throw ValidationError(error.description)
        }
    }
}
