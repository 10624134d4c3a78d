import NIOCore
import Testing

@testable import Edge

@Suite("NTRIP requests")
struct NTRIPRequestTests {
    private func parse(_ text: String) throws(NTRIPRequest.Problem) -> NTRIPRequest {
        try NTRIPRequest(head: ByteBuffer(string: text).readableBytesView)
    }

    @Test(
        "every spelling of SOURCE names the same mountpoint and password",
        arguments: [
            "SOURCE secretpw SITE01\r\nSource-Agent: NTRIP RTKLIB/2.4.3\r\nSTR: \r\n\r\n",
            "SOURCE secretpw /SITE01\r\nSource-Agent: NTRIP NtripServerPOSIX/3\r\n\r\n",
            "SOURCE secretpw /SITE01 HTTP/1.1\r\n\r\n", "SOURCE secretpw SITE01 \n\n",
        ])
    func spellings(_ text: String) throws {
        #expect(try parse(text) == .source(mountpoint: "SITE01", password: "secretpw", description: ""))
    }

    @Test("the password may be empty or have spaces, the description may be there or not")
    func passwords() throws {
        #expect(
            try parse("SOURCE  SITE01\r\nSTR: RTCM 3.3;1006(10),1077(1)\r\n\r\n")
                == .source(mountpoint: "SITE01", password: "", description: "RTCM 3.3;1006(10),1077(1)"))
        #expect(
            try parse("SOURCE  /SITE01 HTTP/1.1\r\n\r\n")
                == .source(mountpoint: "SITE01", password: "", description: ""))
        #expect(try parse("SOURCE /SITE01\r\n\r\n") == .source(mountpoint: "SITE01", password: "", description: ""))
        #expect(try parse("SOURCE a b /M\r\n\r\n") == .source(mountpoint: "M", password: "a b", description: ""))
        #expect(try parse("SOURCE pw\r\n\r\n") == .source(mountpoint: nil, password: "pw", description: ""))
        #expect(try parse("SOURCE pw /\r\n\r\n") == .source(mountpoint: nil, password: "pw", description: ""))
        #expect(try parse("SOURCE \r\n\r\n") == .source(mountpoint: nil, password: "", description: ""))
    }

    @Test("POST carries credentials, chunking and description")
    func post() throws {
        let head =
            "POST /MP HTTP/1.1\r\nHost: h\r\nNtrip-Version: Ntrip/2.0\r\nUser-Agent: NTRIP x/1\r\n"
            + "Authorization: Basic dXNlcjpwOnc=\r\nNtrip-STR: RTCM 3\r\nConnection: close\r\n"
        let credentials = NTRIPRequest.Credentials(user: "user", password: "p:w")
        #expect(
            try parse(head + "Transfer-Encoding: chunked\r\n\r\n")
                == .post(mountpoint: "MP", credentials: credentials, isChunked: true, description: "RTCM 3"))
        #expect(
            try parse(head + "\r\n")
                == .post(mountpoint: "MP", credentials: credentials, isChunked: false, description: "RTCM 3"))
        #expect(
            try parse("POST /MP HTTP/1.1\r\nAuthorization: Digest x\r\n\r\n")
                == .post(mountpoint: "MP", credentials: nil, isChunked: false, description: ""))
        #expect(throws: NTRIPRequest.Problem.coding("gzip, chunked")) {
            try parse("POST /MP HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")
        }
    }

    @Test("GET tells the version")
    func get() throws {
        #expect(
            try parse("GET / HTTP/1.0\r\nUser-Agent: NTRIP RTKLIB/2.4.3\r\n\r\n") == .get(path: "", isVersion2: false))
        #expect(try parse("GET /MP HTTP/1.1\r\nntrip-version: NTRIP/2.0\r\n\r\n") == .get(path: "MP", isVersion2: true))
    }

    @Test(
        "anything else is refused by name",
        arguments: ["\r\n\r\n", "\0\0\n\n", "hello\r\n\r\n", "GET MP HTTP/1.0\r\n\r\n", "GET /\r\n\r\n"])
    func malformed(_ text: String) {
        #expect(throws: NTRIPRequest.Problem.malformed) { try parse(text) }
    }

    @Test("other methods and too many lines are refused")
    func refusals() {
        #expect(throws: NTRIPRequest.Problem.method("PUT")) { try parse("PUT /MP HTTP/1.1\r\n\r\n") }
        let lines = String(repeating: "A: b\r\n", count: 80)
        #expect(throws: NTRIPRequest.Problem.malformed) { try parse("GET / HTTP/1.1\r\n" + lines + "\r\n") }
    }

    @Test("the head ends at the first empty line, with or without CR")
    func headEnd() {
        func length(_ text: String) -> Int? { NTRIPRequest.headLength(ByteBuffer(string: text).readableBytesView) }
        #expect(length("a\r\n\r\nxyz") == 5)
        #expect(length("a\n\nxyz") == 3)
        #expect(length("a\r\nb\r\n") == nil)
        #expect(length("") == nil)
    }

    @Test("random heads never trap", arguments: 0..<40 as Range<UInt64>)
    func random(_ seed: UInt64) {
        var random = IntakeRandom(seed: seed)
        let words = [
            "SOURCE", "POST", "GET", " ", "/", "MP", "HTTP/1.1", "\r\n", ":", "Authorization: Basic ", "=", "é", "\0",
        ]
        let text = (0..<30).map { _ in words.randomElement(using: &random)! }.joined()
        _ = try? parse(text)
    }

    @Test("base64 decodes what it encodes, and refuses what it could not have made")
    func base64() {
        for length in 0..<20 {
            let bytes = (0..<length).map { UInt8($0 * 37 % 256) }
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
        }
        #expect(Base64.encode(Array("user:pw".utf8)) == "dXNlcjpwdw==")
        #expect(Base64.decode("dXNlcjpwdw".utf8) == Array("user:pw".utf8))
        for bad in ["a", "a*==", "dXNl=cjp"] { #expect(Base64.decode(bad.utf8) == nil) }
    }
}

@Suite("Chunked coding")
struct ChunkedDecoderTests {
    private func decode(_ pieces: [ByteBuffer]) throws(ChunkedDecoder.Failure) -> (String, isEnded: Bool) {
        var decoder = ChunkedDecoder()
        var body = ByteBuffer()
        for piece in pieces { try decoder.decode(piece) { body.writeImmutableBuffer($0) } }
        return (String(buffer: body), decoder.isEnded)
    }

    @Test("a body is the same at every cut")
    func everyCut() throws {
        let coded = "4\r\nWiki\r\nA;ext=1\r\n0123456789\r\n0b\r\npedia in \r\n\r\n0\r\nTrailer: x\r\n\r\nafter"
        let bytes = ByteBuffer(string: coded)
        for cut in 0...bytes.readableBytes {
            let head = try #require(bytes.getSlice(at: 0, length: cut))
            let tail = try #require(bytes.getSlice(at: cut, length: bytes.readableBytes - cut))
            let (body, isEnded) = try decode([head, tail])
            #expect(body == "Wiki0123456789pedia in \r\n")
            #expect(isEnded)
        }
    }

    @Test("bad coding is an error")
    func errors() {
        func failure(_ text: String) -> ChunkedDecoder.Failure? {
            do throws(ChunkedDecoder.Failure) {
                _ = try decode([ByteBuffer(string: text)])
                return nil
            } catch { return error }
        }
        #expect(failure("xyz") == .badSize)
        #expect(failure("\r\n") == .badSize)
        #expect(failure("-1\r\n") == .badSize)
        #expect(failure("1\r\nab") == .badDelimiter)
        #expect(failure("FFFFFFFFFFFFFFFFFF\r\n") == .sizeTooLarge(limitBytes: 16 << 20))
        #expect(failure("00000000000000001\r\n") == .sizeTooLarge(limitBytes: 16 << 20))
        #expect(failure("1;" + String(repeating: "x", count: 2000)) == .lineTooLong(limitBytes: 1024))
        #expect(failure("0\r\n" + String(repeating: "x", count: 2000)) == .lineTooLong(limitBytes: 1024))
    }
}
