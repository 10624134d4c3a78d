import Edge
import FoundationEssentials
import Logging
import TransportTLS
import WriteAheadLog

extension ClientTLS {
    /// `NAME.tls-ca`, `.tls-certificate` and `.tls-key`; what cannot be used is noted.
    init(_ reader: SettingsReader, prefix: String) {
        self.init(
            authorities: reader.optionalText(prefix + "tls-ca"),
            certificate: reader.optionalText(prefix + "tls-certificate"), key: reader.optionalText(prefix + "tls-key"),
            dates: CertificateDates(rawValue: reader.choice(prefix + "tls-dates")) ?? .system)
        do {
            _ = try configuration()
        } catch {
            let culprit =
                certificate != nil || key != nil ? "tls-certificate" : authorities == nil ? "tls-dates" : "tls-ca"
            reader.refuse(prefix + culprit, error.description)
        }
    }

    var isUsed: Bool { self != ClientTLS() }
}

extension LiveClientTLS {
    /// Nil where the settings say nothing: clients then trust what the system trusts.
    static func make(_ tls: ClientTLS) throws(TLSFlaw) -> LiveClientTLS? {
        tls.isUsed ? try LiveClientTLS(tls) : nil
    }

    /// For people, with the settings' prefix: `uplink`, `store`.
    func told(as prefix: String, _ now: CertificateTime) -> String? {
        problem.map { Self.asBefore(prefix, $0) } ?? ending(now).map { "\(prefix).tls-certificate: \($0)" }
    }

    private static func asBefore(_ prefix: String, _ reason: String) -> String {
        "\(prefix).tls-ca, -certificate and -key as they were before: \(reason)"
    }

    /// Takes renewed files until the task is cancelled. Blocks its thread for reads of a few KiB.
    func watch(_ prefix: String, _ logger: Logger) async {
        while (try? await Task.sleep(for: Self.lookEvery)) != nil {
            switch look() {
            case nil: break
            case .renewed: logger.notice("\(prefix).tls-…: new certificates are used from the next connection on")
            case .unusable(let reason): logger.error("\(Self.asBefore(prefix, reason))")
            }
        }
    }
}

extension ServerTLS {
    /// `http.tls-certificate`, `.tls-key` and `.tls-client-ca`; nil without a certificate. What cannot be used is noted.
    init?(_ reader: SettingsReader, prefix: String) {
        let key = reader.optionalText(prefix + "tls-key")
        let clients = reader.optionalText(prefix + "tls-client-ca")
        guard let certificate = reader.optionalText(prefix + "tls-certificate") else {
            if key != nil || clients != nil { reader.refuse(prefix + "tls-certificate", "is required with the others") }
            return nil
        }
        guard let key else {
            reader.refuse(prefix + "tls-key", "is required with \(prefix)tls-certificate")
            return nil
        }
        self.init(certificate: certificate, key: key, clientAuthorities: clients)
        do {
            _ = try read()
        } catch {
            reader.refuse(prefix + "tls-certificate", error.description)
        }
    }
}

extension SettingsReader {
    /// The certificates that a setting names, as PEM; nil for none. What is none is noted.
    func pem(_ name: String) -> String? {
        guard let text = optionalText(name) else { return nil }
        do {
            let pem = try PEMText(text)
            _ = try pem.certificates()
            return String(decoding: pem.bytes, as: UTF8.self)
        } catch {
            refuse(name, error.description)
            return nil
        }
    }
}

extension WallClock {
    /// A clock that cannot be right gives the newest time that has certainly passed.
    var certificateTime: CertificateTime {
        let now = read()
        let isKnown = now.quality != .unknown
        return CertificateTime(seconds: (isKnown ? now.wallMs : passedMs) / 1000, isKnown: isKnown)
    }
}

extension String {
    /// Of a URL: a name or an address, without brackets and port.
    var host: String? {
        URLComponents(string: self)?.host.map { $0.hasPrefix("[") ? String($0.dropFirst().dropLast()) : $0 }
    }
}
