import KafkaProtocol
import NIOCore

@testable import WriteAheadLog

/// Bytes of segments made by hand, for what the log itself would not write.
struct RawSegment {
    var header: SegmentHeader
    var bytes: [UInt8] = []
    private var nextLSN: UInt64

    init(_ header: SegmentHeader, state: LaneState = LaneState(producersMax: 64, partitionsMax: 64)) {
        self.header = header
        nextLSN = header.firstLSN + 1
        var state = state
        state.nextLSN = nextLSN
        let payload = Checkpoint.encode(state)
        let staging = Staging(capacityBytes: 64 << 10)
        staging.begin(
            sequence: header.sequence, salt: header.salt, firstLSN: header.firstLSN, bootEpoch: header.bootEpoch,
            leadBytes: Block.sizeBytes)
        let frame = FrameHeader(kind: .checkpoint, lsn: header.firstLSN, payloadBytes: payload.readableBytes)
        _ = staging.append(frame, topic: "", payload: payload)
        let head = staging.finish()
        header.encode(into: staging.memory)
        bytes = [UInt8](head)
    }

    /// One group; entries get LSNs and the offsets from `baseOffset` on.
    mutating func add(_ entries: [LogEntry], baseOffset: Int64, bootEpoch: UInt64) {
        var offset = baseOffset
        let first = nextLSN
        let staging = Staging(capacityBytes: 64 << 10)
        staging.begin(sequence: header.sequence, salt: header.salt, firstLSN: first, bootEpoch: bootEpoch)
        for entry in entries {
            _ = staging.append(
                FrameHeader(entry, lsn: nextLSN, baseOffset: offset), topic: entry.topic, payload: entry.batch)
            offset += Int64(entry.header.recordCount)
            nextLSN += 1
        }
        bytes += [UInt8](staging.finish())
    }

    /// One group with one frame of any kind.
    mutating func add(kind: UInt8, payload: ByteBuffer, bootEpoch: UInt64) {
        let staging = Staging(capacityBytes: 64 << 10)
        staging.begin(sequence: header.sequence, salt: header.salt, firstLSN: nextLSN, bootEpoch: bootEpoch)
        var frame = FrameHeader(kind: .unknown, lsn: nextLSN, payloadBytes: payload.readableBytes)
        frame.kindByte = kind
        _ = staging.append(frame, topic: "", payload: payload)
        nextLSN += 1
        bytes += [UInt8](staging.finish())
    }

    var padded: [UInt8] {
        bytes + [UInt8](repeating: 0, count: max(0, header.segmentSizeBytes - bytes.count))
    }
}

extension [UInt8] {
    /// Makes it a segment of another format version, with the checksum that such a header has.
    mutating func setFormat(version: UInt32, mustUnderstand: UInt32 = 0, mayIgnore: UInt32 = 0) {
        withUnsafeMutableBytes { bytes in
            bytes.set(version, at: 8)
            bytes.set(mustUnderstand, at: 56)
            bytes.set(mayIgnore, at: 60)
            bytes.set(SegmentHeader.checksum(UnsafeRawBufferPointer(bytes), version: version), at: 12)
        }
    }
}
