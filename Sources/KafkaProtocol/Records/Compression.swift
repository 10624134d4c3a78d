/// The codec of a batch: the lowest three bits of its attributes.
public enum Compression: UInt8, Sendable, Equatable, CaseIterable {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4
}
