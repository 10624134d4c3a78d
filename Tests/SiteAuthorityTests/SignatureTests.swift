import NIOCore
import Testing

@testable import SiteAuthority

/// Promise 11 and 13, at the door: who announces is who holds the site's key, and each request counts once.
@Suite("Signed announcements") struct SignatureTests {
    let master = MasterKey(String(repeating: "0f", count: 32))!
    let body = ByteBuffer(string: #"{"site":"quarry"}"#)

    private func signature(challenge: String = "", counter: UInt64 = 1, site: String = "quarry") -> AnnounceSignature {
        AnnounceSignature(
            method: "POST", path: "/v1/announce", site: site, incarnation: String(repeating: "a", count: 32),
            generation: 1, challenge: challenge, nonce: String(repeating: "b", count: 32), counter: counter)
    }

    @Test("HMAC-SHA-256 is that of RFC 4231, test case 2")
    func known() {
        let code = MessageCode.hmac(key: Array("Jefe".utf8), "what do ya want for nothing?")
        #expect(
            MessageCode.hexadecimal(code) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("keys are derived: the same on every node, another for every site, generation and salt")
    func derivation() {
        let key = master.siteKey(site: "quarry", generation: 1, salt: "s")
        #expect(key == master.siteKey(site: "quarry", generation: 1, salt: "s"))
        #expect(key.bytes != master.siteKey(site: "quarrx", generation: 1, salt: "s").bytes)
        #expect(key.bytes != master.siteKey(site: "quarry", generation: 2, salt: "s").bytes)
        #expect(key.bytes != master.siteKey(site: "quarry", generation: 1, salt: "t").bytes)
        #expect(SiteKey(key.text) == key)
        #expect(!"\(key)".contains(MessageCode.hexadecimal(key.bytes)))
        for text in ["", "1", "0:" + String(repeating: "00", count: 32), "1:00", "x:" + key.text, key.text + "0"] {
            #expect(SiteKey(text) == nil, "\(text)")
        }
    }

    @Test("a code fits its request only: every field and every byte of the body counts")
    func coverage() {
        let key = master.siteKey(site: "quarry", generation: 1, salt: "s")
        let signed = signature()
        let code = signed.code(key, body: body)
        #expect(signed.isSigned(code, by: key, body: body))
        var changed: [AnnounceSignature] = []
        for change in [
            { $0.method = "GET" }, { $0.path = "/v1/sites" }, { $0.site = "quarrx" }, { $0.incarnation = "" },
            { $0.generation = 2 }, { $0.challenge = "c" }, { $0.nonce = "n" }, { $0.counter = 2 },
        ] as [(inout AnnounceSignature) -> Void] {
            var other = signed
            change(&other)
            changed.append(other)
        }
        for other in changed { #expect(!other.isSigned(code, by: key, body: body), "\(other)") }
        for index in 0..<body.readableBytes {
            var other = body
            other.setInteger(body.getInteger(at: index, as: UInt8.self)! ^ 1, at: index)
            #expect(!signed.isSigned(code, by: key, body: other))
        }
        let stranger = master.siteKey(site: "quarry", generation: 1, salt: "t")
        #expect(!signed.isSigned(code, by: stranger, body: body))
        #expect(!signed.isSigned("", by: key, body: body))
    }

    @Test("a reply fits one request, one status and one body")
    func replies() {
        let key = master.siteKey(site: "quarry", generation: 1, salt: "s")
        let code = AnnounceSignature.replyCode(key, requestCode: "r1", status: 200, body: body)
        func fits(_ request: String, _ status: Int, _ body: ByteBuffer) -> Bool {
            AnnounceSignature.isReply(code, by: key, requestCode: request, status: status, body: body)
        }
        #expect(fits("r1", 200, body))
        #expect(!fits("r2", 200, body))
        #expect(!fits("r1", 409, body))
        #expect(!fits("r1", 200, ByteBuffer()))
        // A request's code is no reply's.
        #expect(signature().code(key, body: body) != code)
    }

    @Test("headers carry it there and back; anything malformed is no signature")
    func headers() throws {
        let signed = signature(challenge: String(repeating: "c", count: 32), counter: .max)
        let headers = Dictionary(uniqueKeysWithValues: signed.headers.map { ($0.name, $0.value) })
        #expect(AnnounceSignature(method: "POST", path: "/v1/announce") { headers[$0] } == signed)
        for name in headers.keys {
            #expect(AnnounceSignature(method: "POST", path: "/v1/announce") { $0 == name ? nil : headers[$0] } == nil)
            #expect(
                AnnounceSignature(method: "POST", path: "/v1/announce") {
                    $0 == name ? String(repeating: "\n", count: 100) : headers[$0]
                } == nil)
        }
    }

    @Test("a guard accepts each request once, and nothing from before it")
    func transcript() {
        var guarding = SiteGuard(challenge: "c1")
        func judge(_ challenge: String, _ nonce: String, _ counter: UInt64) -> SiteGuard.Verdict {
            guarding.judge(challenge: challenge, nonce: nonce, counter: counter, fresh: "c2")
        }
        #expect(judge("", "a", 1) == .challenge("c1"))  // a gateway that does not know this node yet
        #expect(judge("c1", "a", 2) == .accept)
        #expect(judge("c1", "a", 2) == .replay)
        #expect(judge("c1", "a", 1) == .replay)
        #expect(judge("c1", "a", 7) == .accept)  // some were lost on the way
        #expect(judge("c1", "b", 1) == .accept)  // it started again, and counts anew
        #expect(judge("c0", "a", 9) == .challenge("c1"))  // recorded before this node started, or at another one
        #expect(judge("c1", "a", 7) == .replay)
    }

    @Test("memory is bounded: many starts cost a new challenge, which outdates what was recorded")
    func bounded() {
        var guarding = SiteGuard(challenge: "c1")
        for start in 0..<SiteGuard.startsMax {
            #expect(guarding.judge(challenge: "c1", nonce: "n\(start)", counter: 1, fresh: "c2") == .accept)
        }
        #expect(guarding.judge(challenge: "c1", nonce: "one more", counter: 1, fresh: "c2") == .challenge("c2"))
        #expect(guarding.judge(challenge: "c1", nonce: "n0", counter: 1, fresh: "c3") == .challenge("c2"))
        #expect(guarding.judge(challenge: "c2", nonce: "n0", counter: 2, fresh: "c3") == .accept)
    }

    @Test(
        "directives have a form; what has none is refused where it is set",
        arguments: [
            ("topics.gnss.rtcm.partitions", "4", true), ("topics.t.partitions", "0", false),
            ("lanes.bulk.flush", "250ms", true), ("lanes.bulk.flush", "1ms", false), ("lanes.flush", "5s", false),
            ("uplink.bandwidth", "64KiB", true), ("uplink.bandwidth", "off", true), ("uplink.bandwidth", "-1", false),
            ("log.level", "debug", true), ("log.level", "loud", false), ("nothing", "1", false), ("", "", false),
        ])
    func directives(_ name: String, _ value: String, _ isSound: Bool) {
        #expect((Directive.flaw(name, value) == nil) == isSound)
        #expect((Directive(name, value) != nil) == isSound)
    }
}
