import Testing

@testable import KafkaListener

@Suite struct RequestPipelineTests {
    typealias Pipeline = RequestPipeline<String, String>

    @Test("responses leave in request order however they are answered")
    func order() {
        var pipeline = Pipeline(requestsMax: 8, bytesMax: 100)
        for name in ["a", "b", "c"] { pipeline.arrived(name, sizeBytes: 10, overlaps: true) }
        let numbers = (0..<3).map { _ in pipeline.nextToHand()?.number }
        #expect(numbers == [0, 1, 2])
        #expect(pipeline.nextToHand() == nil)

        pipeline.answered(2, with: "C")
        #expect(pipeline.nextToSend() == nil)
        pipeline.answered(0, with: "A")
        #expect(pipeline.nextToSend()?.response == "A")
        #expect(pipeline.nextToSend() == nil)
        #expect(pipeline.sizeBytes == 20)
        pipeline.answered(1, with: nil)
        #expect(pipeline.nextToSend()! == (nil, 10))
        #expect(pipeline.nextToSend()?.response == "C")
        #expect(pipeline.isEmpty)
        #expect(pipeline.sizeBytes == 0)
    }

    @Test("a request that does not overlap is alone in the service")
    func exclusive() {
        var pipeline = Pipeline(requestsMax: 8, bytesMax: 100)
        pipeline.arrived("produce", sizeBytes: 1, overlaps: true)
        pipeline.arrived("fetch", sizeBytes: 1, overlaps: false)
        pipeline.arrived("produce again", sizeBytes: 1, overlaps: true)
        #expect(pipeline.nextToHand()?.request == "produce")
        #expect(pipeline.nextToHand() == nil)
        pipeline.answered(0, with: "")
        #expect(pipeline.nextToHand()?.request == "fetch")
        #expect(pipeline.nextToHand() == nil)
        pipeline.answered(1, with: "")
        #expect(pipeline.nextToHand()?.request == "produce again")
    }

    @Test("one request may be larger than the limit, but only alone")
    func room() {
        var pipeline = Pipeline(requestsMax: 2, bytesMax: 10)
        #expect(pipeline.hasRoom(forBytes: 1000))
        pipeline.arrived("large", sizeBytes: 1000, overlaps: true)
        #expect(!pipeline.hasRoom(forBytes: 1))
        _ = pipeline.nextToHand()
        pipeline.answered(0, with: "")
        _ = pipeline.nextToSend()
        pipeline.arrived("a", sizeBytes: 1, overlaps: true)
        #expect(pipeline.hasRoom(forBytes: 9))
        #expect(!pipeline.hasRoom(forBytes: 10))
        pipeline.arrived("b", sizeBytes: 1, overlaps: true)
        #expect(!pipeline.hasRoom(forBytes: 1), "two requests are the limit")
    }

    @Test("abandoning frees the bytes of all but the requests the service works on")
    func abandon() {
        var pipeline = Pipeline(requestsMax: 8, bytesMax: 100)
        for size in [1, 2, 4, 8] { pipeline.arrived("\(size)", sizeBytes: size, overlaps: size < 8) }
        while pipeline.nextToHand() != nil {}
        pipeline.answered(1, with: "two")
        #expect(pipeline.hasAwaited)
        let (freedBytes, unsent) = pipeline.abandon()
        #expect(freedBytes == 2 + 8)
        #expect(unsent == ["two"])
        #expect(pipeline.isEmpty && !pipeline.hasAwaited)
    }
}
