/// What one command may ask for. Checked when a command is decided, so replaying an old log never fails on them.
public enum LedgerLimits {
    public static let topicNameCharactersMax = 249
    public static let partitionsPerTopicMax: Int32 = 10_000
    public static let topicsMax = 100_000
    public static let configsPerTopicMax = 200
    /// Of a config value, an object key, a site, lane or group name.
    public static let textBytesMax = 32_768
    public static let keyBytesMax = 1_024
    /// Byte positions inside objects are kept in 32 bits.
    public static let objectSizeBytesMax = Int64(UInt32.max)
    public static let runsPerObjectMax = 100_000
    public static let gapsPerObjectMax = 1_024
    public static let gapItemsPerObjectMax = 10_000
    /// Of records, batches or bytes in one item of a gap.
    public static let lostCountMax: Int64 = 1 << 48
    public static let forgottenPerRunMax = 100_000
    public static let stampsPerRunMax = 10_000
    public static let producerIDsPerRequestMax = 100_000
    public static let offsetsPerCommitMax = 100_000
    public static let offsetMetadataBytesMax = 4_096
    public static let keysPerCommandMax = 10_000
    public static let incarnationsPerSiteMax = 1_000
    public static let lanesPerIncarnationMax = 64
    public static let sitesMax = 100_000
    public static let groupsMax = 100_000
    public static let nodesMax = 10_000
    public static let transactionsMax = 1_000_000
    /// Keys marked for deletion and not yet forgotten, with those forgotten of late.
    public static let tombstonesMax = 1_000_000
}
