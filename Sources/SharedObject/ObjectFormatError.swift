/// Why bytes are not an object of ours, or why an object cannot be written. Numbers are bytes unless they say otherwise.
public enum ObjectFormatError: Error, Equatable, Sendable {
    /// Written by a newer Cairn. Upgrade this one; nothing is wrong with the object.
    case newerVersion(found: UInt16, supportedMax: UInt16)
    /// The bytes do not begin or end with our magic: not one of our objects.
    case notAnObject(part: String)
    /// Fewer bytes than the part needs.
    case truncated(part: String, neededBytes: Int, availableBytes: Int)
    /// Checksum of a part and its bytes disagree.
    case corrupt(part: String, storedCRC32C: UInt32, computedCRC32C: UInt32)
    /// A field holds what no writer of ours writes.
    case invalidField(part: String, field: String, value: Int64)
    /// A text field is not UTF-8, or is longer than its limit.
    case invalidText(part: String, field: String, lengthBytes: Int)
    /// A run does not lie inside the body, or overlaps its neighbour.
    case runOutOfBounds(index: Int, position: Int, lengthBytes: Int, lowerBound: Int, upperBound: Int)
    /// Runs are not sorted by topic, partition and first local offset, or their local offsets overlap.
    case runsOutOfOrder(index: Int)
    /// The footer says another object size than the store does.
    case sizeMismatch(statedBytes: Int, actualBytes: Int)
    /// The batches of a run do not add up to what the footer says.
    case runMismatch(field: String, stated: Int64, found: Int64)
    /// What was handed to the writer is not exactly one whole record batch.
    case invalidBatch(reason: String)
    /// The object would be larger than its limit. Finish this one and begin another.
    case objectTooLarge(sizeBytes: Int, limitBytes: Int)
}
