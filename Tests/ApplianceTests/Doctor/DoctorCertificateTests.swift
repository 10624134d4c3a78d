import Foundation
import Testing
import TransportTLS

@testable import Appliance

@Suite("Doctor: certificates")
struct DoctorCertificateTests {
    /// Made for these tests: an authority until 2036, one that it signed until 2031, and a server `s.example` for the year 2026.
    static let root = """
        -----BEGIN CERTIFICATE-----
        MIIBMjCB2aADAgECAhRWkMjSVoEfBUF5kS1LYBr7LaLDPzAKBggqhkjOPQQDAjAP
        MQ0wCwYDVQQDDARyb290MB4XDTI2MDEwMTAwMDAwMFoXDTM2MDEwMTAwMDAwMFow
        DzENMAsGA1UEAwwEcm9vdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIvCZL35
        bHRVPXC/ck3a0WQKlJs3EbKdxCknDrLSSWilyBK8bV4s3FpiZVtuDhZM1XOhcfuG
        PCSLD0MIVnVi0bCjEzARMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAw
        RQIhAP06+t/WwH3vuMgU6NGSB3GuSBI0RAk45EJDUGS5RJD1AiBWUeXmf2s2Im/l
        IbNZ1q/CzXabz6klQvjgux/IscA7+Q==
        -----END CERTIFICATE-----
        """
    static let middle = """
        -----BEGIN CERTIFICATE-----
        MIIBMjCB2qADAgECAhM9veNa7P/N8T/aztytBjKr3pYEMAoGCCqGSM49BAMCMA8x
        DTALBgNVBAMMBHJvb3QwHhcNMjYwMTAxMDAwMDAwWhcNMzEwMTAxMDAwMDAwWjAR
        MQ8wDQYDVQQDDAZtaWRkbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARc8kE/
        JHAUytWj4fNyy8Q/2MUVGl+lOyiMSCLYKTFnh8jKZq8grobuArnyW8Y3mc3G+QyQ
        PNxm/B0Kg+ZeRZI4oxMwETAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cA
        MEQCIH2JysRbGxO1mycZeXaJ+3AjXcX/WC+Z5CRBMwtiebJCAiASLbxEWRMmNkBx
        Etq2gJ6xXHmrlh4Sm9rDzSTddORAnw==
        -----END CERTIFICATE-----
        """
    static let leaf = """
        -----BEGIN CERTIFICATE-----
        MIIBSDCB7qADAgECAhRVAPnbWqxfX2ELEs8TBqKBnAMVuTAKBggqhkjOPQQDAjAR
        MQ8wDQYDVQQDDAZtaWRkbGUwHhcNMjYwMTAxMDAwMDAwWhcNMjcwMTAxMDAwMDAw
        WjAPMQ0wCwYDVQQDDARsZWFmMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEynv3
        9ucPvx6jtdFv8RqwytDmfkazn8xRM+VRvsR2dpiGt9uj3u2vFbk+0i+qV2b2ZnjH
        Qrczk0Erg0faPhmspqMmMCQwDAYDVR0TAQH/BAIwADAUBgNVHREEDTALgglzLmV4
        YW1wbGUwCgYIKoZIzj0EAwIDSQAwRgIhAKo6wbIIND9Hiu2YeACPEXKjyH6UMEgc
        GxQHDY2WzNakAiEA0xp2RJW5jd2ODfKWnc0ODCKvcVP8+AG/+c3Xdc7rS/A=
        -----END CERTIFICATE-----
        """
    static let chain = leaf + "\n" + middle

    static func seconds(_ text: String) throws -> Int64 {
        Int64(try Date(text + "T00:00:00Z", strategy: .iso8601).timeIntervalSince1970)
    }

    static func facts(_ pem: String) throws -> [CertificateFacts] { try CertificateFacts.read(pem) }

    @Test("a certificate says whom it is for and how long it is good")
    func facts() throws {
        let (leaf, middle, root) = (
            try Self.facts(Self.leaf)[0], try Self.facts(Self.middle)[0], try Self.facts(Self.root)[0]
        )
        #expect(leaf.name == "s.example" && middle.name == "middle")
        #expect(leaf.beginsSeconds == (try Self.seconds("2026-01-01")))
        #expect(leaf.endsSeconds == (try Self.seconds("2027-01-01")))
        #expect(leaf.isSigned(by: middle) && middle.isSigned(by: root) && root.isSigned(by: root))
        #expect(!leaf.isSigned(by: root))
        #expect(CertificateFacts(der: Array("no certificate".utf8)) == nil)
        #expect(CertificateFacts(der: Array(leaf.der.dropLast())) == nil)
    }

    @Test(
        "a certificate is renewed 30 days before its end, a short-lived one after two thirds of its life",
        arguments: [
            ("2026-06-01", .good), ("2026-12-01", .good), ("2026-12-03", .warning), ("2026-12-31", .warning),
            ("2027-01-01", .failure), ("2025-12-31", .failure),
        ] as [(String, Finding.Verdict)])
    func dates(day: String, verdict: Finding.Verdict) throws {
        let files = CertificateFindings.Files(setting: "http.tls-certificate", text: Self.chain, kind: .chain)
        let findings = CertificateFindings.findings(files, now: try Self.seconds(day))
        #expect(findings.map(\.verdict) == [verdict])
        #expect(verdict == .good || findings[0].advice?.isEmpty == false)
        var short = try Self.facts(Self.leaf)[0]
        short.beginsSeconds = short.endsSeconds - 9 * 86_400
        #expect(CertificateFindings.dueSeconds(short) == 3 * 86_400)
    }

    @Test("without a time nothing is said about dates")
    func unknownTime() throws {
        let files = CertificateFindings.Files(setting: "uplink.tls-ca", text: Self.root, kind: .authorities)
        #expect(CertificateFindings.findings(files, now: nil).map(\.verdict) == [.skipped])
        let chain = CertificateFindings.Files(setting: "uplink.tls-certificate", text: Self.chain, kind: .chain)
        #expect(CertificateFindings.findings(chain, now: nil).map(\.verdict) == [.skipped])
    }

    @Test("a chain is in order, own certificate first")
    func order() throws {
        let now = try Self.seconds("2026-06-01")
        func verdicts(_ text: String) -> [Finding.Verdict] {
            let files = CertificateFindings.Files(setting: "http.tls-certificate", text: text, kind: .chain)
            return CertificateFindings.findings(files, now: now).map(\.verdict)
        }
        #expect(verdicts(Self.chain + "\n" + Self.root) == [.good])
        #expect(verdicts(Self.leaf + "\n" + Self.root) == [.good, .failure])
        #expect(verdicts(Self.middle + "\n" + Self.leaf) == [.good, .failure])
        #expect(verdicts("/nowhere/s.pem") == [.failure])
    }

    @Test(
        "of several authorities one that is over is a warning, all of them are a failure",
        arguments: [
            ("2026-06-01", .good), ("2030-12-20", .warning), ("2031-06-01", .warning), ("2036-06-01", .failure),
        ]
            as [(String, Finding.Verdict)])
    func authorities(day: String, verdict: Finding.Verdict) throws {
        let files = CertificateFindings.Files(
            setting: "uplink.tls-ca", text: Self.root + "\n" + Self.middle, kind: .authorities)
        #expect(CertificateFindings.findings(files, now: try Self.seconds(day)).map(\.verdict) == [verdict])
    }

    @Test("a server is trusted by its authority and its name; what it lacks is said")
    func servers() throws {
        let now = try Self.seconds("2026-06-01")
        func findings(_ chain: String, host: String = "s.example", authorities: String = Self.root) throws -> [Finding]
        {
            let server = CertificateFindings.Server(
                setting: "uplink.announce", host: host, port: 9644, tls: ClientTLS(authorities: authorities))
            return CertificateFindings.findings(server, .shown(try Self.facts(chain)), now: now)
        }
        #expect(try findings(Self.chain).map(\.verdict) == [.good])
        // Between them is missing.
        let torn = try findings(Self.leaf)
        #expect(torn.map(\.verdict) == [.good, .failure] && torn[1].advice?.contains("uplink.tls-ca") == true)
        #expect(try findings(Self.leaf, authorities: Self.root + "\n" + Self.middle).map(\.verdict) == [.good])
        let other = try findings(Self.chain, host: "t.example")
        #expect(other.map(\.verdict) == [.good, .failure] && other[1].advice?.contains("'s.example'") == true)
        #expect(try findings(Self.chain, host: "192.0.2.1").last?.advice?.contains("'s.example'") == true)
    }

    @Test("a server that does not speak TLS fails; one that is not there is left to other findings")
    func silentServers() {
        let server = CertificateFindings.Server(setting: "store.endpoint", host: "h", port: 443, tls: ClientTLS())
        func verdicts(_ answer: CertificateFindings.Answer) -> [Finding.Verdict] {
            CertificateFindings.findings(server, answer, now: 0).map(\.verdict)
        }
        #expect(verdicts(.failed("TLS: no")) == [.failure])
        #expect(verdicts(.unreachable("no connection")) == [.skipped])
    }
}
