import Foundation
import NIOSSL
import Testing

@testable import TransportTLS

@Suite("Certificates and keys as settings name them")
struct CertificateFileTests {
    /// Made for these tests with openssl: for a.example, good for a hundred years, trusted by nobody.
    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIBljCCATugAwIBAgIUPAzsVkp+2XHraAZJmlFV0C8gIqAwCgYIKoZIzj0EAwIw
        FDESMBAGA1UEAwwJYS5leGFtcGxlMCAXDTI2MTEyNjExMzMxN1oYDzIxMjYxMTAy
        MTEzMzE3WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjO
        PQMBBwNCAAR81RZkwSlJgcp2MC0dpAUNIQxz8FjAO37acH6ATiFDYdLEvj0oIWFj
        Z8K7KQxi73tK7y1ifBC1cw2RFpGrhQLCo2kwZzAdBgNVHQ4EFgQUoQRMEbFqHmNh
        p8jWO+MTEvSI4m8wHwYDVR0jBBgwFoAUoQRMEbFqHmNhp8jWO+MTEvSI4m8wDwYD
        VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglhLmV4YW1wbGUwCgYIKoZIzj0EAwID
        SQAwRgIhAMnjCozBkWkV9qJtePghCHtuTz524yAtfKXmW7rJs65IAiEArMdwj3HM
        t0ErkQ+ALUARW7w0bqBHCSb/RPPD9Rg5c8s=
        -----END CERTIFICATE-----
        """
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfcysOaSrX0Iukax5
        idXyB1HlCOezlzmi6T9iy3zH7TqhRANCAAR81RZkwSlJgcp2MC0dpAUNIQxz8FjA
        O37acH6ATiFDYdLEvj0oIWFjZ8K7KQxi73tK7y1ifBC1cw2RFpGrhQLC
        -----END PRIVATE KEY-----
        """
    static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgflfzaWQ1nGEM7VOI
        xhQQtRR1GiX8vH+ok8ALyBxQQ52hRANCAAQiHxyIpASA1ftG+kIJT0DnTUTpZsMZ
        /p2+53JrHPE7ouQYkV4o6nJC3mxLftrLXuotEbPtGTVi5Xg6PJPqoPOS
        -----END PRIVATE KEY-----
        """

    @Test("PEM itself and the path of a file with it are the same")
    func forms() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("cairn-\(UUID().uuidString).pem").path
        try Self.certificate.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try PEMText(path).certificates() == PEMText(Self.certificate).certificates())
        let tls = try ClientTLS(authorities: path, certificate: Self.certificate, key: Self.key).configuration()
        #expect(tls.certificateChain.count == 1 && tls.privateKey != nil)
        #expect(try ServerTLS(certificate: path, key: Self.key, clientAuthorities: path).read().bytes.count > 1000)
    }

    @Test("what cannot be used says which file it was and what it should hold")
    func flaws() {
        func flaw(_ make: () throws -> Void) -> String {
            do {
                try make()
                return ""
            } catch {
                return "\(error)"
            }
        }
        #expect(flaw { _ = try PEMText("/nowhere/ca.pem") }.hasPrefix("/nowhere/ca.pem: No such file"))
        #expect(flaw { _ = try ClientTLS(authorities: Self.key).configuration() }.contains("certificate"))
        #expect(flaw { _ = try ClientTLS(certificate: Self.certificate).configuration() }.contains("belong together"))
        #expect(
            flaw { _ = try ServerTLS(certificate: Self.certificate, key: Self.certificate).read() }
                .contains("expected a private key"))
        #expect(
            flaw { _ = try ServerTLS(certificate: Self.certificate, key: Self.otherKey).read() }
                .contains("do not belong together"))
    }
}
