public import WriteAheadLog

/// One lane of the gateway: a chain of segments of its own, with its own pace and quota.
public struct LaneSettings: Sendable, Equatable {
    /// Lower-case letters, digits and `-`, at most 32: it is a directory name and a part of object keys.
    public var name: String
    /// Under load appends are grouped for so long before one fdatasync; when idle they go at once.
    public var commitWindow: Duration
    /// An object goes up at least so often while there is data.
    public var uplinkInterval: Duration
    /// Bytes on disk that are not yet uploaded; what happens above it is up to `fullPolicy`.
    public var quotaBytes: Int
    /// Bytes per segment file; a quota is at least two.
    public var segmentBytes: Int
    /// Uploaded segments stay readable on the gateway within so many bytes.
    public var retentionBytes: Int
    /// Rejecting appends until the uplink has caught up, or giving up the oldest data and recording the gap.
    public var fullPolicy: LaneConfiguration.FullPolicy
    /// Data that has waited longer for its upload is given up; nil for never. Needs `dropOldest`.
    public var quotaAge: Duration?

    public static let segmentBytesDefault = 64 * 1024 * 1024

    public init(
        name: String, commitWindow: Duration, uplinkInterval: Duration, quotaBytes: Int = 16 << 30,
        segmentBytes: Int = LaneSettings.segmentBytesDefault, retentionBytes: Int = 256 << 20,
        fullPolicy: LaneConfiguration.FullPolicy = .reject, quotaAge: Duration? = nil
    ) {
        self.name = name
        self.commitWindow = commitWindow
        self.uplinkInterval = uplinkInterval
        self.quotaBytes = quotaBytes
        self.segmentBytes = segmentBytes
        self.retentionBytes = retentionBytes
        self.fullPolicy = fullPolicy
        self.quotaAge = quotaAge
    }

    /// Corrections, alarms, positions: small and urgent.
    public static let critical = LaneSettings(
        name: "critical", commitWindow: .milliseconds(1), uplinkInterval: .seconds(1))
    public static let standard = LaneSettings(
        name: "standard", commitWindow: .milliseconds(10), uplinkInterval: .seconds(5))
    /// Raw observations and files: large and patient.
    public static let bulk = LaneSettings(
        name: "bulk", commitWindow: .milliseconds(50), uplinkInterval: .seconds(30))

    /// The three lanes of a gateway that says nothing about lanes, most urgent first.
    public static let defaults = [critical, standard, bulk]

    static func isName(_ name: String) -> Bool {
        (1...32).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
