import Console
import NIOCore
import SiteAuthority
import Uplink

/// How `cairn uplink` asks and orders: `GET /v1/uplink`, `POST /v1/uplink/pause`, `POST /v1/uplink/resume`.
///
/// Anybody who reaches the page may ask. A page of another origin in somebody's browser, another user of the machine and the network
/// around it cannot give orders: the token stands in a file that only the role's own user reads, browsers do not send it, and
/// a request that names an `Origin` is refused whatever it holds.
enum UplinkEndpoints {
    /// None when there is no uplink, or nobody could prove to be allowed.
    static func all(_ role: EdgeRole) -> [ConsoleEndpoint] {
        guard let pacer = role.pacer, let token = role.control?.token else { return [] }
        @Sendable func report() -> ByteBuffer { role.uplinkReport?.json ?? ByteBuffer() }
        func order(_ path: String, _ isPaused: Bool, _ note: String) -> ConsoleEndpoint {
            ConsoleEndpoint(.post, path, bodyBytesMax: 4 << 10) { call in
                if let refusal = refusal(call, token) { return refusal }
                do {
                    try pacer.setPaused(isPaused)
                } catch {
                    return ConsoleAnswer(500, text: "\(error)\n")
                }
                role.noteOrder(note)
                return ConsoleAnswer(200, json: report())
            }
        }
        return [
            ConsoleEndpoint(.get, "/v1/uplink") { _ in ConsoleAnswer(200, json: report()) },
            order("/v1/uplink/pause", true, "uplink paused by command"),
            order("/v1/uplink/resume", false, "uplink resumed by command"),
        ]
    }

    private static func refusal(_ call: ConsoleCall, _ token: String) -> ConsoleAnswer? {
        if call.hasHeader("origin") { return ConsoleAnswer(403, text: "refused\n") }
        let given = Array((call.header("authorization") ?? "").utf8)
        return MessageCode.isEqual(given, Array("Bearer \(token)".utf8)) ? nil : ConsoleAnswer(401, text: "refused\n")
    }
}
