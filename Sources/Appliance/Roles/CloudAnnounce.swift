import Cloud
import Console
import Ledger
import NIOCore
import ObjectStore
import SharedObject
import SiteAuthority
import Uplink

/// `POST /v1/announce`: who speaks, is it the one who holds the incarnation, adopt, and what the site is told.
///
/// Statuses: 200; 400 not an announcement; 401 with a challenge, or a signature that does not fit; 403 the site or its key
/// is not valid (any more); 409 another start holds the incarnation; 503 try again. Every reply to a request whose signature
/// was right is signed.
struct CloudAnnounce {
    let role: CloudRole
    private var sites: SiteRegistry { role.broker.sites }

    static func endpoint(_ role: CloudRole) -> ConsoleEndpoint {
        ConsoleEndpoint(.post, "/v1/announce", bodyBytesMax: AnnounceCoding.bodyBytesMax) { call in
            await CloudAnnounce(role: role).answer(call)
        }
    }

    func answer(_ call: ConsoleCall) async -> ConsoleAnswer {
        guard let request = AnnounceCoding.request(call.body) else {
            return Self.failure(400, "not an announcement", nil)
        }
        let signature = AnnounceSignature(method: "POST", path: "/v1/announce") { call.header($0) }
        let admission = sites.admit(
            site: request.site, signature: signature, code: call.header(AnnounceSignature.Header.code), body: call.body)
        let reply: ReplyKey?
        switch admission {
        case .open: reply = nil
        case .signed(let key): reply = key
        case .denied(let denial, let key):
            var answer = Self.failure(denial.status, "\(denial)", key)
            if case .challenge(let challenge) = denial {
                answer.headers.append((AnnounceSignature.Header.challenge, challenge))
            }
            return answer
        }
        if let signature, signature.incarnation != request.incarnation {
            return Self.failure(400, "signed for another incarnation", reply)
        }
        if let object = request.announcement, object.objectKey?.site != request.site {
            return Self.failure(403, "announces an object that is not the site's: \(object.key.prefix(200))", reply)
        }
        do {
            return try await heard(request, call.peer, reply)
        } catch {
            return failure(error, reply)
        }
    }

    private func heard(
        _ request: AnnounceRequest, _ peer: String?, _ key: ReplyKey?
    ) async throws(AnnounceError) -> ConsoleAnswer {
        if let report = request.gateway {
            let outcome: BootOutcome
            do {
                outcome = try await sites.note(
                    site: request.site, incarnation: request.incarnation, report: report, peer: peer)
            } catch {
                if case .refused(let refusal) = error {
                    throw AnnounceError(.refused, status: 403, detail: "\(refusal)")
                }
                throw AnnounceError(.busy(retryAfter: nil), detail: "\(error)")
            }
            if case .contested(let holder) = outcome {
                let why = "incarnation \(request.incarnation) of \(request.site) is held by \(holder.address)"
                throw AnnounceError(.contested, status: 409, detail: why)
            }
        }
        var reply = AnnounceReply(adopted: [:])
        if let announcement = request.announcement { reply = try await role.adopt(announcement) }
        for (lane, sequence) in role.adopted(site: request.site, incarnation: request.incarnation)
        where reply.adopted[lane] == nil {
            reply.adopted[lane] = sequence
        }
        // Only who proved to be the site is told anything.
        if key != nil {
            if let told = sites.directives(request.site) {
                reply.directives = told.values
                reply.directivesVersion = told.version
            }
            if let wishes = request.gateway?.wants, !wishes.isEmpty {
                let presigner = Presigner(
                    store: role.store, sites: sites, validSeconds: Int(role.settings.presignValid.components.seconds))
                reply.grants = presigner.grants(site: request.site, wishes, nowMs: WallClock.nowMs())
            }
            if request.gateway?.update?.wantsURL == true, let order = sites.update(request.site) {
                reply.updateURL =
                    role.store.presigned(
                        .read, order.key, Int(role.settings.presignValid.components.seconds), WallClock.nowMs())?.text
            }
        }
        let body = AnnounceCoding.encode(reply)
        return Self.signed(ConsoleAnswer(200, json: body), key)
    }

    private func failure(_ error: AnnounceError, _ key: ReplyKey?) -> ConsoleAnswer {
        let status =
            switch error.kind {
            case .contested: 409
            case .refused: error.status ?? 400
            case .unreachable, .busy, .badReply, .challenged: 503
            }
        return Self.failure(status, error.detail, key)
    }

    private static func failure(_ status: Int, _ reason: String, _ key: ReplyKey?) -> ConsoleAnswer {
        signed(ConsoleAnswer(status, json: ByteBuffer(string: #"{"error":\#(LogLines.quoted(reason))}"#)), key)
    }

    private static func signed(_ answer: ConsoleAnswer, _ key: ReplyKey?) -> ConsoleAnswer {
        guard let key else { return answer }
        var answer = answer
        let code = key.code(status: answer.status, body: answer.body)
        answer.headers.append((AnnounceSignature.Header.code, code))
        return answer
    }
}

extension CloudRole {
    /// The last adopted object of each lane of one incarnation.
    func adopted(site: String, incarnation: String) -> [String: UInt64] {
        broker.sites.adopted(site: site, incarnation: incarnation)
    }
}
