import NIOCore
import Testing

@testable import ObjectStore

@Suite("XML replies")
struct XMLTests {
    static let listing = """
        \u{FEFF}<?xml version="1.0" encoding="UTF-8"?>
        <!-- by hand --><ns:ListBucketResult xmlns:ns="http://s3.amazonaws.com/doc/2006-03-01/" odd='a>b'>
        <Name>bucket</Name><IsTruncated>true</IsTruncated><NextContinuationToken>tok/+=</NextContinuationToken>
        <Contents><Key>a&amp;b&lt;&#65;&#x42;é<![CDATA[<raw>]]></Key><LastModified>2009-10-12T17:50:30.250Z</LastModified>
        <ETag>&quot;fba9&quot;</ETag><Size>434234</Size><Owner/></Contents>
        <Contents><Key>second</Key><Size>0</Size></Contents></ns:ListBucketResult>
        """

    @Test("a listing is read: references, CDATA, prefixes, attributes, dates")
    func listing() throws {
        let reply = try S3ListReply(ByteBuffer(string: Self.listing))
        #expect(reply.isTruncated)
        #expect(reply.continuationToken == "tok/+=")
        #expect(
            reply.objects == [
                ListedObject(key: "a&b<ABé<raw>", sizeBytes: 434_234, lastModifiedMs: 1_255_369_830_250),
                ListedObject(key: "second", sizeBytes: 0),
            ])
    }

    @Test("a delete result names what failed")
    func deleteResult() throws {
        let text =
            "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
        let reply = try S3DeleteReply(ByteBuffer(string: text))
        #expect(reply.faults == [S3Fault(code: "AccessDenied", message: "no", key: "k")])
        #expect(try S3DeleteReply(ByteBuffer()).faults.isEmpty)
    }

    @Test(
        "what is not well formed is an error",
        arguments: [
            "", " ", "text", "<", "<a", "<a>", "<a></b>", "<a>&bogus;</a>", "<a>&#xD800;</a>", "<a>&#99999999999;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "<a><![CDATA[</a>", "<a b=\"></a>", "<a/", "<a><!-- </a>",
            "<></>",
        ])
    func malformed(text: String) {
        #expect(throws: XMLError.self) { try XMLReader.root(of: ByteBuffer(string: text)) }
    }

    @Test("depth and number of elements are bounded")
    func bounds() {
        let deep = String(repeating: "<a>", count: 100_000)
        #expect(throws: XMLError.overLimit("depth", limit: XMLReader.depthMax)) {
            try XMLReader.root(of: ByteBuffer(string: deep))
        }
        let wide = "<a>" + String(repeating: "<b/>", count: XMLReader.elementsMax) + "</a>"
        #expect(throws: XMLError.overLimit("elements", limit: XMLReader.elementsMax)) {
            try XMLReader.root(of: ByteBuffer(string: wide))
        }
    }

    @Test("every cut is an error, never a trap")
    func everyCut() {
        let whole = Array(Self.listing.utf8)
        for end in 0..<whole.count {
            #expect(throws: XMLError.self, "\(end)") { try S3ListReply(ByteBuffer(bytes: whole[..<end])) }
        }
    }

    @Test("every flipped bit gives a listing or an error, never a trap")
    func everyFlip() {
        var whole = Array(Self.listing.utf8)
        for index in whole.indices {
            for bit in 0..<8 {
                whole[index] ^= 1 << bit
                _ = try? S3ListReply(ByteBuffer(bytes: whole))
                _ = S3Fault.read(ByteBuffer(bytes: whole))
                _ = try? S3DeleteReply(ByteBuffer(bytes: whole))
                whole[index] ^= 1 << bit
            }
        }
    }
}

@Suite("Times as text")
struct TimeTextTests {
    @Test(
        "spelled for signing",
        arguments: [
            (0, "19700101T000000Z"), (1_369_353_600_000, "20130524T000000Z"), (951_827_696_789, "20000229T123456Z"),
            (-1, "19691231T235959Z"),
        ])
    func basic(timeMs: Int64, text: String) { #expect(TimeText.basic(timeMs) == text) }

    @Test("any clock can be spelled", arguments: [Int64.min, .max])
    func extremes(timeMs: Int64) { #expect(TimeText.basic(timeMs).utf8.count == 16) }

    @Test("HTTP dates")
    func httpDates() {
        #expect(TimeText.parseHTTPDate("Fri, 24 May 2013 00:00:00 GMT") == 1_369_353_600_000)
        #expect(TimeText.parseHTTPDate("Tue, 29 Feb 2000 12:34:56 GMT") == 951_827_696_000)
        for bad in [
            "", "Fri", "Fri, 24 May 2013 00:00:00 UTC", "Fri, 24 Mai 2013 00:00:00 GMT",
            "Fri, 24 May 2013 24:00:00 GMT", "Fri, 24 May 2013 0:0:0 GMT", "Fri, +4 May 2013 00:00:00 GMT",
            "Fri, 24 May 20133 00:00:00 GMT",
        ] {
            #expect(TimeText.parseHTTPDate(bad) == nil, "\(bad)")
        }
    }

    @Test("ISO dates with and without fraction")
    func isoDates() {
        #expect(TimeText.parseISO8601("2013-05-24T00:00:00Z") == 1_369_353_600_000)
        #expect(TimeText.parseISO8601("2013-05-24T00:00:00.1Z") == 1_369_353_600_100)
        #expect(TimeText.parseISO8601("2013-05-24T00:00:00.123456789Z") == 1_369_353_600_123)
        for bad in [
            "", "Z", "2013-05-24", "2013-05-24T00:00:00", "2013-13-24T00:00:00Z", "2013-05-24T00:00:00.Z",
            "2013-05-24T00:00:00.-1Z",
        ] {
            #expect(TimeText.parseISO8601(bad) == nil, "\(bad)")
        }
    }

    @Test("base64 and hex")
    func encodings() {
        for (text, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            #expect(Base64.encode(Array(text.utf8)) == wanted)
        }
        #expect(Base64.encode(Digest.md5(ByteBuffer())) == "1B2M2Y8AsgTpgAmY7PhCfg==")
        #expect(Hex.lowercase([0, 0x0F, 0xA0, 0xFF]) == "000fa0ff")
        #expect(Hex.lowercase(Digest.sha256(ObjectBody())) == SigV4.emptyPayload)
        #expect(Digest.crc32c(ObjectBody(ByteBuffer(string: "123456789"))) == 0xE306_9283)
    }
}
