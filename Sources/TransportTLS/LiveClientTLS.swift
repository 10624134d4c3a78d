public import NIOSSL
import Synchronization

/// What a client trusts and shows, as its files say now: a renewed certificate counts for the next connection, without a restart.
///
/// - Short-lived certificates are written by an agent, certificate and key one after the other. A pair that cannot be used, half of a new
///   one above all, changes nothing; one that is found twice in a row is told in ``problem``.
/// - PEM in the settings themselves never changes.
public final class LiveClientTLS: Sendable {
    /// What a look found.
    public enum News: Sendable, Equatable {
        case renewed
        /// What is in use stays. Told once for each reason.
        case unusable(reason: String)
    }

    private struct State {
        var material: ClientTLS.Material {
            didSet { chain = CertificateFacts.chain(material.configuration) }
        }
        private(set) var chain: [CertificateFacts]
        var problem: String?
        /// The last look failed.
        var isDoubtful = false

        init(_ material: ClientTLS.Material) {
            self.material = material
            chain = CertificateFacts.chain(material.configuration)
        }
    }

    /// How often files are looked at.
    public static let lookEvery = Duration.seconds(5)

    private let tls: ClientTLS
    private let state: Mutex<State>

    /// Errors: what is wrong with what is there now.
    public init(_ tls: ClientTLS) throws(TLSFlaw) {
        self.tls = tls
        state = Mutex(State(try tls.read()))
    }

    /// For the next connection.
    public var configuration: TLSConfiguration { state.withLock { $0.material.configuration } }
    /// Why what is used is what was there before; nil while all is well.
    public var problem: String? { state.withLock { $0.problem } }
    /// What is to be said of the own certificate's end; nil while there is time.
    public func ending(_ now: CertificateTime) -> String? {
        CertificateFacts.ending(state.withLock { $0.chain }, now)
    }

    /// Looks again, and takes what has changed. Blocks on reads.
    public func look() -> News? {
        do throws(TLSFlaw) {
            let material = try tls.read()
            return state.withLock { state in
                (state.problem, state.isDoubtful) = (nil, false)
                // The same bytes read again would be another configuration to a client that keeps connections by it.
                guard material.bytes != state.material.bytes else { return nil }
                state.material = material
                return .renewed
            }
        } catch {
            return state.withLock { state in
                guard state.isDoubtful else {
                    state.isDoubtful = true
                    return nil
                }
                defer { state.problem = error.description }
                return state.problem == error.description ? nil : .unusable(reason: error.description)
            }
        }
    }

    /// What ``configuration`` leaves to be checked of each connection to one of `hosts` (names or addresses, without a port);
    /// nil: nothing.
    public func check(hosts: [String], now: @escaping @Sendable () -> CertificateTime) -> CertificateCheck? {
        guard tls.dates != .system, tls.authorities != nil else { return nil }
        return CertificateCheck(
            authorities: { [self] in state.withLock { $0.material.authorities } }, hosts: hosts, dates: tls.dates,
            now: now)
    }
}
