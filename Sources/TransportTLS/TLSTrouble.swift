import NIOSSL

/// Makes something a person can act on of what a handshake failed with.
public enum TLSTrouble {
    /// Nil for an error that has nothing to do with TLS.
    public static func text(_ error: any Error) -> String? {
        if let flaw = error as? TLSFlaw { return flaw.description }
        let said = "\(error)"
        guard
            error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError
                || said.contains("handshakeFailed") || said.contains("SSL routines")
        else { return nil }
        if said.contains("CERTIFICATE_VERIFY_FAILED") {
            return "TLS: the server's certificate is not trusted here: another authority signed it, or it is not valid"
                + " at this machine's time (tls-ca, clock)"
        }
        if error is NIOSSLExtraError || said.contains("failedToValidateHostname") {
            return "TLS: the server's certificate is for another host name"
        }
        if said.contains("CERTIFICATE_REQUIRED") || said.contains("ALERT_HANDSHAKE_FAILURE") {
            return "TLS: the server wants a certificate of this client (tls-certificate, tls-key)"
        }
        if said.contains("ALERT_UNKNOWN_CA") || said.contains("ALERT_BAD_CERTIFICATE")
            || said.contains("ALERT_CERTIFICATE_EXPIRED") || said.contains("ALERT_CERTIFICATE_UNKNOWN")
        {
            return "TLS: the server does not accept this client's certificate (tls-certificate)"
        }
        if said.contains("WRONG_VERSION_NUMBER") || said.contains("HTTP_REQUEST") {
            return "TLS: the server does not speak TLS on this port (http:// instead of https://?)"
        }
        return "TLS: \(said)"
    }
}
