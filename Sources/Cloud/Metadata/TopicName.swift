/// The rules for names of topics. Source: `org.apache.kafka.common.internals.Topic`, Kafka 4.3.
enum TopicName {
    static let lengthMax = 249

    /// Topics that Kafka keeps for itself. Source: `Topic.INTERNAL_TOPICS`.
    static func isInternal(_ name: String) -> Bool {
        name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
    }

    /// 1 to 249 of `[a-zA-Z0-9._-]`, and neither `.` nor `..`.
    static func isValid(_ name: String) -> Bool {
        (1...lengthMax).contains(name.utf8.count) && name != "." && name != ".." && name.utf8.allSatisfy(isLegal)
    }

    private static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
