import KafkaProtocol
import NIOCore
import Testing

@Suite("Every message at every version")
struct MessageTests {
    static let seeds: [UInt64] = Array(1...12)

    @Test("reads back what it wrote, byte for byte", arguments: Catalogue.exchanges)
    func roundTrip(_ exchange: Exchange) throws {
        for seed in Self.seeds {
            try exchange.both { check in
                let (message, bytes) = try check.invent(seed: seed, isPlain: false)
                let back = try check.decode(bytes)
                #expect(check.isEqual(back, message), "\(check.direction), seed \(seed)")
                #expect(try check.encode(back) == bytes, "\(check.direction), seed \(seed)")
            }
        }
    }

    @Test("is an error at every cut and with a byte too many", arguments: Catalogue.exchanges)
    func cuts(_ exchange: Exchange) throws {
        for seed in Self.seeds.prefix(4) {
            try exchange.both { check in
                let (_, bytes) = try check.invent(seed: seed, isPlain: false)
                // Large byte fields are thinned out; everything around them is cut at each byte.
                let step = bytes.readableBytes > 2000 ? 37 : 1
                for cut in stride(from: 0, to: bytes.readableBytes, by: step) {
                    #expect(throws: WireError.self, "\(check.direction), seed \(seed), cut \(cut)") {
                        try check.decode(bytes.prefix(cut))
                    }
                }
                var longer = bytes
                longer.writeInteger(UInt8(0))
                #expect(throws: WireError.trailingBytes(1)) { try check.decode(longer) }
            }
        }
    }

    @Test("never traps on garbled bytes, and what still reads can be written", arguments: Catalogue.exchanges)
    func garbled(_ exchange: Exchange) throws {
        var random = SeededRandom(seed: 99)
        for seed in Self.seeds.prefix(6) {
            try exchange.both { check in
                let (_, bytes) = try check.invent(seed: seed, isPlain: false)
                guard bytes.readableBytes > 0 else { return }
                for _ in 0..<40 {
                    var garbled = bytes
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        let at = Int.random(in: 0..<min(300, bytes.readableBytes), using: &random)
                        garbled.setInteger(UInt8(truncatingIfNeeded: random.next()), at: at)
                    }
                    guard let message = try? check.decode(garbled) else { continue }
                    _ = try check.encode(message)
                }
            }
        }
    }

    @Test("has its own key, and begins and ends where Kafka 4.3 begins and ends")
    func versions() {
        let expected: [APIKey: ClosedRange<Int16>] = [
            .produce: 3...13, .fetch: 4...18, .listOffsets: 1...11, .metadata: 0...13, .offsetCommit: 2...10,
            .offsetFetch: 1...10, .findCoordinator: 0...6, .joinGroup: 0...9, .heartbeat: 0...4, .leaveGroup: 0...5,
            .syncGroup: 0...5, .describeGroups: 0...6, .listGroups: 0...5, .apiVersions: 0...4, .createTopics: 2...7,
            .deleteTopics: 1...6, .initProducerID: 0...6, .offsetForLeaderEpoch: 2...4, .describeConfigs: 1...4,
            .createPartitions: 0...3, .deleteGroups: 0...2, .describeCluster: 0...2, .deleteRecords: 0...2,
            .addPartitionsToTxn: 0...5, .addOffsetsToTxn: 0...4, .endTxn: 0...5, .writeTxnMarkers: 1...2,
            .txnOffsetCommit: 0...5, .describeProducers: 0...0, .describeTransactions: 0...0, .listTransactions: 0...2,
            .incrementalAlterConfigs: 0...1, .alterConfigs: 0...2, .offsetDelete: 0...0,
            .describeTopicPartitions: 0...0, .describeLogDirs: 1...5, .listConfigResources: 0...1,
        ]
        let described = Catalogue.requests.map { ($0.apiKey, $0.versions) }
        #expect(Dictionary(uniqueKeysWithValues: described) == expected)
        for request in Catalogue.requests {
            let newest = request.apiKey == .initProducerID ? 5 : request.versions.upperBound
            #expect(request.newestStableVersion == newest, "\(request.apiKey)")
        }
    }
}
