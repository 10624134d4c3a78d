import GNSS
public import NIOCore

/// A capture cut into the pieces that a receiver sent together, with the time of each.
///
/// The pieces put behind each other are the capture, comments and noise in it included.
public struct ReplayScript: Sendable {
    struct Piece: Sendable, Equatable {
        var bytes: ByteBuffer
        /// Since the first piece, at the receiver's own pace.
        var offset: Duration
    }
    let pieces: [Piece]

    /// A gap in the capture is not waited for longer than this.
    private static let gapMax: Int64 = 10_000
    /// Between epochs of which the times cannot be compared.
    private static let unknownGap: Int64 = 1000

    public init(capture: ByteBuffer) {
        var builder = Builder()
        var assembler = EpochAssembler(bytesMax: 1 << 20)
        var framer = StreamFramer()
        framer.append(capture)
        while let frame = framer.drain() {
            if frame.kind == .unknown {
                if let epoch = assembler.flush() { builder.add(epoch) }
                builder.add(unknown: frame.bytes)
            } else {
                assembler.append(frame) { builder.add($0) }
            }
        }
        if let epoch = assembler.flush() { builder.add(epoch) }
        pieces = builder.pieces
    }

    private struct Builder {
        var pieces: [Piece] = []
        private var offsetMs: Int64 = 0
        private var time: EpochTime?

        mutating func add(_ epoch: EpochRecord) {
            if let next = epoch.time {
                if let time { offsetMs += min(next.ms(since: time) ?? ReplayScript.unknownGap, ReplayScript.gapMax) }
                time = next
            }
            pieces.append(Piece(bytes: epoch.bytes, offset: .milliseconds(offsetMs)))
        }

        mutating func add(unknown bytes: ByteBuffer) {
            pieces.append(Piece(bytes: bytes, offset: .milliseconds(offsetMs)))
        }
    }
}
