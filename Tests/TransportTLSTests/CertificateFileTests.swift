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

    @Test("that a certificate ends is told when a tenth of its life is left, or seven days, if anybody knows the time")
    func ending() throws {
        let facts = try #require(try CertificateFacts.read(Self.certificate).first)
        func told(_ secondsLeft: Int64, isKnown: Bool = true) -> String? {
            facts.ending(CertificateTime(seconds: facts.endsSeconds - secondsLeft, isKnown: isKnown))
        }
        #expect(told(8 * 86_400) == nil)
        #expect(told(6 * 86_400) == "certificate 'a.example' ends in 6 days")
        #expect(told(7200) == "certificate 'a.example' ends in 2 hours")
        #expect(told(0) == "certificate 'a.example' is over")
        #expect(told(0, isKnown: false) == nil)
        var short = facts
        short.beginsSeconds = short.endsSeconds - 86_400
        let now = CertificateTime(seconds: short.endsSeconds - 10_000, isKnown: true)
        #expect(short.ending(now) == nil)
        #expect(short.ending(CertificateTime(seconds: now.seconds + 3000, isKnown: true)) != nil)
        let live = try LiveClientTLS(ClientTLS(certificate: Self.certificate, key: Self.key))
        #expect(live.ending(CertificateTime(seconds: facts.endsSeconds, isKnown: true)) == told(0))
    }

    @Test("files that change are taken, those that cannot be used are not, and are told when they stay so")
    func renewal() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("cairn-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let (certificate, key) = (directory.appendingPathComponent("crt"), directory.appendingPathComponent("key"))
        try Self.certificate.write(to: certificate, atomically: true, encoding: .utf8)
        try Self.key.write(to: key, atomically: true, encoding: .utf8)
        let live = try LiveClientTLS(
            ClientTLS(authorities: certificate.path, certificate: certificate.path, key: key.path, dates: .known))
        #expect(live.look() == nil && live.problem == nil)
        let found = live.check(hosts: ["a.example"]) { CertificateTime(seconds: 0, isKnown: true) }
        let check = try #require(found)
        #expect(check.authorities() == Array(Self.certificate.utf8))

        try Self.otherKey.write(to: key, atomically: true, encoding: .utf8)
        #expect(live.look() == nil && live.problem == nil, "half of a new pair is no trouble yet")
        guard case .unusable(let reason) = live.look() else {
            Issue.record("a pair that stays wrong is told")
            return
        }
        #expect(reason.contains("do not belong together") && live.problem == reason)
        #expect(live.look() == nil, "told once")
        #expect(live.configuration.privateKey != nil && check.authorities() == Array(Self.certificate.utf8))

        try Self.key.write(to: key, atomically: true, encoding: .utf8)
        #expect(live.look() == nil && live.problem == nil, "what was there before is no news")
        try (Self.certificate + "\n").write(to: certificate, atomically: true, encoding: .utf8)
        #expect(live.look() == .renewed)
        #expect(check.authorities() == Array((Self.certificate + "\n").utf8), "checks go by the new authorities")
        try FileManager.default.removeItem(at: certificate)
        #expect(live.look() == nil && live.look() != nil && live.problem?.contains("No such file") == true)
    }
}
