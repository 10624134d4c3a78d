import NIOCore
import Testing

@testable import ObjectStore

/// The examples of "Signature calculations for the Authorization header", Amazon S3 API Reference.
@Suite("SigV4: the examples of the S3 documentation")
struct SigV4DocumentationTests {
    static let signer = SigV4(
        credentials: S3Credentials(
            accessKeyID: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1")
    /// 2013-05-24T00:00:00Z.
    static let timeMs: Int64 = 1_369_353_600_000
    static let host = (name: "Host", value: "examplebucket.s3.amazonaws.com")
    static let emptyHash = (name: "x-amz-content-sha256", value: SigV4.emptyPayload)

    private func authorization(_ request: SigV4.Request) -> String {
        Self.signer.sign(request, timeMs: Self.timeMs).first { $0.name == "authorization" }?.value ?? ""
    }

    @Test("GET object")
    func getObject() {
        let request = SigV4.Request(
            method: "GET", path: "/test.txt", headers: [Self.host, ("Range", "bytes=0-9"), Self.emptyHash])
        #expect(
            authorization(request)
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test("PUT object")
    func putObject() {
        let hash = Hex.lowercase(Digest.sha256("Welcome to Amazon S3."))
        #expect(hash == "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")
        let request = SigV4.Request(
            method: "PUT", path: "/" + URIEncoding.path("test$file.text"),
            headers: [
                Self.host, ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                ("x-amz-content-sha256", hash),
            ], payloadHash: hash)
        #expect(
            authorization(request).hasSuffix(
                "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
    }

    @Test("GET bucket lifecycle")
    func lifecycle() {
        let request = SigV4.Request(
            method: "GET", path: "/", query: [("lifecycle", "")], headers: [Self.host, Self.emptyHash])
        #expect(
            authorization(request).hasSuffix(
                "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))
    }

    @Test("GET bucket (list objects)")
    func listObjects() {
        let request = SigV4.Request(
            method: "GET", path: "/", query: [("max-keys", "2"), ("prefix", "J")], headers: [Self.host, Self.emptyHash])
        #expect(
            authorization(request).hasSuffix(
                "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"))
    }

    @Test("presigned GET")
    func presigned() {
        let request = SigV4.Request(
            method: "GET", path: "/test.txt", headers: [Self.host], payloadHash: SigV4.unsignedPayload)
        let query = Self.signer.presign(request, expiresSeconds: 86_400, timeMs: Self.timeMs)
        #expect(query.contains("X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"))
        #expect(
            query.hasSuffix("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"))
    }
}

/// The aws-sig-v4-test-suite: service `service`, 2015-08-30T12:36:00Z. Paths are given as they are sent: normalising, which S3
/// does not do, is the sender's affair in those cases of the suite.
@Suite("SigV4: the published test suite")
struct SigV4SuiteTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var method = "GET"
        var path = "/"
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body = ""
        var signature: String
        var testDescription: String { name }
    }

    static let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    static let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

    static let cases: [Case] = [
        Case(name: "get-vanilla", signature: vanilla),
        Case(name: "get-vanilla-query", signature: vanilla),
        Case(
            name: "get-vanilla-empty-query-key", query: [("Param1", "value1")],
            signature: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        Case(
            name: "get-vanilla-query-order-key-case", query: [("Param2", "value2"), ("Param1", "value1")],
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Case(
            name: "get-vanilla-query-order-key", query: [("Param1", "value2"), ("Param1", "Value1")],
            signature: "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1"),
        Case(
            name: "get-vanilla-query-order-value", query: [("Param1", "value2"), ("Param1", "value1")],
            signature: "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
        Case(
            name: "get-vanilla-query-unreserved", query: [(unreserved, unreserved)],
            signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        Case(
            name: "get-vanilla-utf8-query", query: [("ሴ", "bar")],
            signature: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
        Case(
            name: "get-unreserved", path: "/" + unreserved,
            signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
        Case(
            name: "get-utf8", path: URIEncoding.path("/ሴ"),
            signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        Case(
            name: "get-space", path: URIEncoding.path("/example space/"),
            signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
        Case(name: "normalize-path/get-relative", path: "/", signature: vanilla),
        Case(
            name: "normalize-path/get-slash-pointless-dot", path: "/example",
            signature: "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
        Case(
            name: "get-header-value-order", headers: [("My-Header1", "value4,value1,value3,value2")],
            signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
        Case(
            name: "get-header-value-trim", headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        Case(
            name: "get-header-key-duplicate",
            headers: [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
            signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
        Case(
            name: "post-vanilla", method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Case(
            name: "post-header-key-sort", method: "POST", headers: [("My-Header1", "value1")],
            signature: "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        Case(
            name: "post-header-value-case", method: "POST", headers: [("My-Header1", "VALUE1")],
            signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
        Case(
            name: "post-vanilla-query", method: "POST", query: [("Param1", "value1")],
            signature: "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        Case(
            name: "post-x-www-form-urlencoded", method: "POST",
            headers: [("Content-Type", "application/x-www-form-urlencoded")], body: "Param1=value1",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ]

    @Test("signature", arguments: cases)
    func signature(_ test: Case) {
        let added = Self.signer().sign(
            SigV4.Request(
                method: test.method, path: test.path, query: test.query,
                headers: [("Host", "example.amazonaws.com")] + test.headers,
                payloadHash: Hex.lowercase(Digest.sha256(test.body))), timeMs: 1_440_938_160_000)
        #expect(added.map(\.name) == ["x-amz-date", "authorization"])
        #expect(added.last?.value.hasSuffix("Signature=" + test.signature) == true)
    }

    @Test("a session token is sent and signed")
    func sessionToken() {
        let token =
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfPSPfIoYRqTflfKD8YUuwthAx7"
            + "mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9"
            + "q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
        let added = Self.signer(token).sign(
            SigV4.Request(method: "POST", path: "/", headers: [("Host", "example.amazonaws.com")]),
            timeMs: 1_440_938_160_000)
        #expect(added.first { $0.name == "x-amz-security-token" }?.value == token)
        #expect(added.last?.value.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,") == true)
        // Computed with botocore 1.44 for the same request.
        #expect(
            added.last?.value.hasSuffix("274a7b02b58a9c1644aaefbafad4d88181feae483b115df94ea22a8b55e3495f") == true)
    }

    @Test("secrets are in no description, dump or mirror")
    func redaction() {
        var credentials = Self.signer("TOKEN").credentials
        credentials.secretAccessKey = "SECRET"
        var dumped = ""
        dump(S3Configuration(endpoint: "http://h", bucket: "b", credentials: credentials), to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped] {
            #expect(!text.contains("SECRET") && !text.contains("TOKEN"))
        }
    }

    static func signer(_ token: String? = nil) -> SigV4 {
        SigV4(
            credentials: S3Credentials(
                accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                sessionToken: token), region: "us-east-1", service: "service")
    }
}
