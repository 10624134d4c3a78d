import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Wire")
struct WireTests {
    @Test("a request header of version 2 ends with tagged fields, one of version 1 does not")
    func requestHeaders() throws {
        // Key 18, version 3 and 2, correlation 7, client "test"; then the body.
        var flexible = ByteBuffer(hex: "0012 0003 00000007 0004 74657374 00 aabb")
        let header = try RequestHeader(reading: &flexible)
        #expect(
            header == RequestHeader(apiKey: .apiVersions, apiVersion: 3, correlationID: 7, clientID: "test"))
        #expect(flexible.hex == "aabb")
        #expect(header.isFlexible && !header.isResponseHeaderFlexible)

        var plain = ByteBuffer(hex: "0012 0002 00000007 ffff aabb")
        let old = try RequestHeader(reading: &plain)
        #expect(old == RequestHeader(apiKey: .apiVersions, apiVersion: 2, correlationID: 7, clientID: nil))
        #expect(plain.hex == "aabb")
        #expect(!old.isFlexible)
    }

    @Test("a header with unknown tagged fields is read, one cut anywhere is an error")
    func headerTags() throws {
        var tagged = ByteBuffer(hex: "0003 000c 00000001 0000 02 05 02 0102 09 00 ee")
        let header = try RequestHeader(reading: &tagged)
        #expect(header.apiKey == .metadata && header.clientID == "" && tagged.hex == "ee")
        let whole = ByteBuffer(hex: "0003 000c 00000001 0000 02 05 02 0102 09 00")
        for cut in 0..<whole.readableBytes {
            #expect(throws: WireError.self, "cut \(cut)") {
                var bytes = whole.prefix(cut)
                _ = try RequestHeader(reading: &bytes)
            }
        }
    }

    @Test("a key that nobody knows still gives a header, so that it can be named in a log")
    func unknownKey() throws {
        var bytes = ByteBuffer(hex: "7abc 0009 00000001 ffff")
        let header = try RequestHeader(reading: &bytes)
        #expect(header.apiKey.name == "API 31420" && !header.isFlexible)
    }

    @Test("ApiVersions is answered with header version 0 even where the body is flexible")
    func apiVersionsResponse() throws {
        var response = ApiVersionsResponse()
        response.apis = [.init(apiKey: 0, minVersion: 0, maxVersion: 13)]
        response.finalizedFeaturesEpoch = 0
        response.finalizedFeatures = [.init(name: "group.version", maxVersionLevel: 1, minVersionLevel: 1)]
        let header = RequestHeader(apiKey: .apiVersions, apiVersion: 3, correlationID: 9, clientID: nil)
        let frame = try WireFrame.response(response, for: header)
        #expect(frame.count == 1)
        // Length, correlation, error, one API (with its tags), throttle, two tags: epoch and features.
        #expect(
            frame[0].hex
                == ByteBuffer(
                    hex: """
                        00000033 00000009 0000 02 0000 0000 000d 00 00000000
                        02 01 08 0000000000000000 02 14 02 0e 67726f75702e76657273696f6e 0001 0001 00
                        """
                ).hex)
        let content = frame[0].getSlice(at: 4, length: 0x33)!
        let back = try WireFrame.decodeResponse(to: ApiVersionsRequest.self, version: 3, from: content)
        #expect(back.correlationID == 9 && back.response == response)
    }

    @Test("other flexible responses have header version 1, and a request frame reads back")
    func frames() throws {
        let header = RequestHeader(apiKey: .heartbeat, apiVersion: 4, correlationID: 2, clientID: "c")
        let response = try WireFrame.response(HeartbeatResponse(), for: header)
        #expect(response[0].hex == ByteBuffer(hex: "0000000c 00000002 00 00000000 0000 00").hex)

        var request = HeartbeatRequest()
        request.groupID = "g"
        var frames = FrameDecoder(limitBytes: 1000)
        for chunk in try WireFrame.request(request, version: 4, correlationID: 2, clientID: "c") {
            frames.append(chunk)
        }
        var content = try #require(try frames.next())
        #expect(try RequestHeader(reading: &content) == header)
        #expect(try decodeRequest(HeartbeatRequest.self, from: &content, version: 4) == request)
    }

    @Test("a version that is not described is refused, reading and writing")
    func unknownVersion() {
        var bytes = ByteBuffer()
        #expect(throws: WireError.versionUnsupported(api: 0, version: 2)) {
            try decodeRequest(ProduceRequest.self, from: &bytes, version: 2)
        }
        #expect(throws: WireError.versionUnsupported(api: 1, version: 19)) {
            try WireFrame.request(FetchRequest(), version: 19, correlationID: 1, clientID: nil)
        }
    }

    @Test("bytes after a request are passed over: librdkafka 2.16 sends three with Metadata 13 for all topics")
    func trailingBytesOfRealClients() throws {
        var bytes = ByteBuffer(bytes: [0, 0, 0, 0, 0, 0, 0])
        let request = try decodeRequest(MetadataRequest.self, from: &bytes, version: 13)
        #expect(request.topics == nil)
        #expect(!request.allowsAutoTopicCreation)
    }

    @Test("a large record set is a chunk of its own that shares the storage it came in")
    func references() throws {
        let records = SeededRandom(seed: 1).withBytes(10_000)
        var response = FetchResponse()
        var topic = FetchResponse.Topic()
        topic.name = "t"
        for index in 0..<2 {
            var partition = FetchResponse.Partition()
            partition.index = Int32(index)
            partition.records = records
            topic.partitions.append(partition)
        }
        response.topics = [topic]
        let header = RequestHeader(apiKey: .fetch, apiVersion: 12, correlationID: 1, clientID: nil)
        let chunks = try WireFrame.response(response, for: header)
        #expect(chunks.count == 5)
        for chunk in [chunks[1], chunks[3]] {
            #expect(address(chunk) == address(records))
        }
        let total = chunks.reduce(0) { $0 + $1.readableBytes }
        #expect(chunks[0].getInteger(at: 0, as: Int32.self) == Int32(total - 4))

        var frame = chunks.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
        frame.moveReaderIndex(forwardBy: 4)
        let back = try WireFrame.decodeResponse(to: FetchRequest.self, version: 12, from: frame).response
        #expect(back == response)
        #expect(address(back.topics[0].partitions[0].records!) > address(frame))
        #expect(address(back.topics[0].partitions[0].records!) < address(frame) + total)
    }

    @Test("records in several slices are the same bytes as in one, and go out by reference", arguments: [4, 12, 18])
    func slices(version: Int16) throws {
        let random = SeededRandom(seed: 2)
        let header = RequestHeader(apiKey: .fetch, apiVersion: version, correlationID: 1, clientID: nil)
        let whole = random.withBytes(30_000)
        for cuts in [[], [0], [1], [10_000, 20_000], [4_096, 4_100, 4_200, 12_000], [29_999], [30_000]] {
            let bounds = [0] + cuts + [30_000]
            let slices = zip(bounds, bounds.dropFirst()).map { whole.getSlice(at: $0, length: $1 - $0)! }
            var partition = FetchResponse.Partition()
            partition.setRecords(slices)
            #expect(partition.recordsBytes == 30_000)
            var joined = partition
            joined.setRecords([whole])
            func frame(_ partition: FetchResponse.Partition) throws -> [ByteBuffer] {
                var topic = FetchResponse.Topic()
                topic.partitions = [partition, partition]
                var response = FetchResponse()
                response.topics = [topic]
                return try WireFrame.response(response, for: header)
            }
            let (chunks, expected) = (try frame(partition), try frame(joined))
            func all(_ chunks: [ByteBuffer]) -> ByteBuffer {
                chunks.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
            }
            #expect(all(chunks) == all(expected))
            for slice in slices where slice.readableBytes >= WireWriter.referenceBytesMin {
                #expect(chunks.filter { address($0) == address(slice) }.count == 2)
            }
            var bytes = all(chunks)
            bytes.moveReaderIndex(forwardBy: 4)
            let back = try WireFrame.decodeResponse(to: FetchRequest.self, version: version, from: bytes).response
            #expect(back.topics[0].partitions.map(\.records) == [whole, whole])
            #expect(back.topics[0].partitions[1].moreRecords.isEmpty)
        }
    }

    @Test("null is refused where the version has none, reading and writing")
    func nulls() {
        var request = MetadataRequest()
        request.topics = nil
        var writer = WireWriter(version: 0, isFlexible: false)
        #expect(throws: WireError.nullNotAllowed) { try encodeMessage(request, into: &writer) }
        for (version, flexible, hex) in [(Int16(0), false, "ffffffff"), (9, true, "02 00 00 01 00 00 00")] {
            var bytes = ByteBuffer(hex: hex)
            #expect(throws: WireError.nullNotAllowed) {
                try decodeMessage(MetadataRequest.self, from: &bytes, version: version, flexible: flexible)
            }
        }
        var negative = ByteBuffer(hex: "fffffffe")
        #expect(throws: WireError.lengthNegative(-2)) {
            try decodeMessage(MetadataRequest.self, from: &negative, version: 1, flexible: false)
        }
    }

    @Test("a string longer than its length field is an error, not a cut string")
    func longStrings() {
        var request = HeartbeatRequest()
        request.groupID = String(repeating: "g", count: 40_000)
        var writer = WireWriter(version: 0, isFlexible: false)
        #expect(throws: WireError.tooLong(lengthBytes: 40_000, limitBytes: 32_767)) {
            try encodeMessage(request, into: &writer)
        }
        var flexible = WireWriter(version: 4, isFlexible: true)
        #expect(throws: Never.self) { try encodeMessage(request, into: &flexible) }
    }

    @Test("text that is not UTF-8 is an error")
    func text() {
        var bytes = ByteBuffer(hex: "0001 ff 00000000 0000")
        #expect(throws: WireError.notUTF8) {
            try decodeMessage(HeartbeatRequest.self, from: &bytes, version: 0, flexible: false)
        }
    }

    @Test("an error code outside the table reads as unknownServerError")
    func errorCodes() throws {
        var bytes = ByteBuffer(hex: "7fff")
        #expect(
            try decodeMessage(HeartbeatResponse.self, from: &bytes, version: 0, flexible: false).errorCode
                == .unknownServerError)
        #expect(ErrorCode.allCases.count == 135 && ErrorCode.rebootstrapRequired.rawValue == 129)
    }

    private func address(_ buffer: ByteBuffer) -> Int {
        buffer.withUnsafeReadableBytes { Int(bitPattern: $0.baseAddress) }
    }
}

extension SeededRandom {
    func withBytes(_ count: Int) -> ByteBuffer {
        var copy = self
        return copy.bytes(count)
    }
}
