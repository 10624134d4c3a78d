import KafkaProtocol
import NIOCore
import Testing

@Suite("Ids, keys and partitions")
struct NamesTests {
    @Test(
        "MurmurHash2 gives the values of the Java client",
        arguments: [
            // From the Java client's own unit test of its hash.
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
        ])
    func murmur(_ key: String, _ hash: Int32) {
        #expect(Partitioner.murmur2(ByteBuffer(string: key)) == hash)
        #expect(Partitioner.murmur2(Array(key.utf8)) == hash)
        #expect(Partitioner.partition(forKey: ByteBuffer(string: key), count: 7) == (hash & .max) % 7)
    }

    @Test("a UUID is 22 characters of URL-safe base64 and reads back")
    func uuids() {
        #expect(KafkaUUID.zero.description == "AAAAAAAAAAAAAAAAAAAAAA")
        #expect(KafkaUUID(high: .max, low: .max).description == "_____________________w")
        // Python: base64.urlsafe_b64encode(bytes.fromhex("00112233445566778899aabbccddeeff"))
        let id = KafkaUUID(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
        #expect(id.description == "ABEiM0RVZneImaq7zN3u_w")
        #expect(KafkaUUID(id.description) == id)
        for text in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA+", "é"] {
            #expect(KafkaUUID(text) == nil)
        }
    }

    @Test("keys have the names and the first flexible versions of the protocol guide")
    func keys() {
        #expect(APIKey.produce.name == "Produce" && APIKey.produce.firstFlexible == 9)
        #expect(APIKey.initProducerID.rawValue == 22 && APIKey.initProducerID.name == "InitProducerId")
        #expect(APIKey.saslHandshake.firstFlexible == .max && APIKey.offsetDelete.firstFlexible == .max)
        #expect(APIKey.deleteShareGroupOffsets.rawValue == 92)
        #expect(APIKey(rawValue: -1).name == "API -1" && APIKey(rawValue: 93).firstFlexible == .max)
    }
}
