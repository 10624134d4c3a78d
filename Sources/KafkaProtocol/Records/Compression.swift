/// The codec of a batch: the lowest three bits of its attributes.
public enum Compression: UInt8, Sendable, Equatable, CaseIterable {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4
}

extension RecordBatchBuilder {
    /// How a payload is written: a codec and, where it has one, its level. The defaults are those of Kafka.
    public enum Codec: Sendable, Equatable {
        case none
        /// 1 is fast, 9 is small, -1 lets zlib choose.
        case gzip(level: Int32 = -1)
        case snappy
        /// 1 is fast, 17 is small; lz4 treats all from 12 on alike.
        case lz4(level: Int32 = 9)
        /// 1 is fast, 19 is small. Level 1 suits GNSS streams.
        case zstd(level: Int32 = 3)

        /// At its default level.
        public init(_ compression: Compression) {
            switch compression {
            case .none: self = .none
            case .gzip: self = .gzip()
            case .snappy: self = .snappy
            case .lz4: self = .lz4()
            case .zstd: self = .zstd()
            }
        }

        public var compression: Compression {
            switch self {
            case .none: .none
            case .gzip: .gzip
            case .snappy: .snappy
            case .lz4: .lz4
            case .zstd: .zstd
            }
        }
    }
}
