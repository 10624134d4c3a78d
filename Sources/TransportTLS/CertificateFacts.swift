import CCrypto
public import NIOSSL

/// What one certificate says of itself, and what can be asked of it and others without a connection.
public struct CertificateFacts: Sendable, Equatable {
    /// Whom it is for: its first DNS name or address, else its common name.
    public var name: String
    /// Seconds since 1970, both.
    public var beginsSeconds: Int64
    public var endsSeconds: Int64
    public let der: [UInt8]

    /// Nil for bytes that are no certificate.
    public init?(der: [UInt8]) {
        var text = [CChar](repeating: 0, count: 256)
        var (begins, ends) = (Int64(0), Int64(0))
        guard cairn_certificate_facts(der, der.count, &begins, &ends, &text, text.count) == 1 else { return nil }
        name = Self.string(text)
        (beginsSeconds, endsSeconds) = (begins, ends)
        self.der = der
    }

    /// What is to be said when somebody should have renewed it by now: a tenth of its life is left, or seven days. Nil before, and
    /// while the time is not known.
    public func ending(_ now: CertificateTime) -> String? {
        guard now.isKnown else { return nil }
        let left = endsSeconds - now.seconds
        guard left > 0 else { return "certificate '\(name)' is over" }
        guard left < min(7 * 86_400, (endsSeconds - beginsSeconds) / 10) else { return nil }
        return "certificate '\(name)' ends in \(Self.span(left))"
    }

    /// Days, or hours where it is less than two days.
    public static func span(_ seconds: Int64) -> String {
        seconds >= 2 * 86_400 ? "\(seconds / 86_400) days" : "\(seconds / 3600) hours"
    }

    /// The first of a chain of which there is something to be said.
    public static func ending(_ chain: [CertificateFacts], _ now: CertificateTime) -> String? {
        chain.lazy.compactMap { $0.ending(now) }.first
    }

    /// Of the chain that a handshake shows.
    public static func chain(_ configuration: TLSConfiguration) -> [CertificateFacts] {
        configuration.certificateChain.compactMap { source in
            guard case .certificate(let certificate) = source, let der = try? certificate.toDERBytes() else {
                return nil
            }
            return CertificateFacts(der: der)
        }
    }

    /// Of all certificates in `text`, in their order; at least one.
    public static func read(_ text: String) throws(TLSFlaw) -> [CertificateFacts] {
        let pem = try PEMText(text)
        return try pem.certificates().compactMap { (try? $0.toDERBytes()).flatMap(CertificateFacts.init(der:)) }
    }

    /// Whether `issuer` signed this one.
    public func isSigned(by issuer: CertificateFacts) -> Bool {
        cairn_certificate_signed_by(der, der.count, issuer.der, issuer.der.count) == 1
    }

    /// Why a server that shows `chain`, its own certificate first, is not trusted as `host`, whatever the dates are; nil when it is.
    /// - Parameter authorities: as in ``ClientTLS/authorities``; nil: those that the system trusts.
    public static func distrust(
        _ chain: [CertificateFacts], as host: String, authorities: String?
    ) throws(TLSFlaw) -> String? {
        guard let own = chain.first else { return "no certificate" }
        let trusted = try authorities.map { text throws(TLSFlaw) in try PEMText(text).bytes } ?? []
        let others = chain.dropFirst().flatMap(\.der)
        var why = [CChar](repeating: 0, count: 200)
        let isGood = cairn_certificate_check(
            own.der, own.der.count, others, others.count, trusted, trusted.count, host, -1, &why, why.count)
        return isGood == 1 ? nil : string(why)
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
