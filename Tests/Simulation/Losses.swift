import NIOCore
import SharedObject

/// What disks have really lost, and what stands on more than one of them: the only excuses there are. Each is found by looking at
/// the disks and at the store when it happens, never by what a seed had drawn.
struct Losses {
    /// Records that were on a disk that is gone, and in no object.
    private(set) var withDisks: Set<Oracle.Written> = []
    /// How often more than once a record may be delivered: it was on two disks, or its plan is forgotten, and neither log knows
    /// that it is in an object.
    private(set) var again: [Oracle.Written: Int] = [:]
    /// Records that are on two disks, or on one that has forgotten their plan and in the store: either may say something else of them.
    private(set) var onTwoDisks: Set<Oracle.Written> = []
    /// Offsets in damaged blocks, and the log that they were in.
    private var rotten: [(branch: Int, local: Oracle.Local, offsets: Set<Int64>)] = []

    mutating func lost(withDisk records: Set<Oracle.Written>) { withDisks.formUnion(records) }

    mutating func mayComeAgain(_ records: Set<Oracle.Written>) {
        for record in records { again[record, default: 0] += 1 }
    }

    mutating func standTwice(_ records: Set<Oracle.Written>) { onTwoDisks.formUnion(records) }

    mutating func rotted(_ offsets: Set<Int64>, _ local: Oracle.Local, branch: Int) {
        rotten.append((branch, local, offsets))
    }

    /// Records in damaged blocks. Of some it is known only later that they had been there.
    func rotten(_ oracle: Oracle) -> Set<Oracle.Written> {
        rotten.reduce(into: []) { found, part in
            found.formUnion(part.offsets.compactMap { oracle.record(part.local, branch: part.branch, $0) })
        }
    }
}

/// Records that whole objects hold.
enum StoredRecords {
    /// Of all these objects; what is torn, or no object, holds nothing that anybody could adopt.
    static func all(in bodies: some Sequence<ByteBuffer>) -> Set<Oracle.Written> {
        bodies.reduce(into: []) { $0.formUnion(records(in: $1)) }
    }

    /// Who planned it; nil for what is no object.
    static func author(of body: ByteBuffer) -> UInt64? { footer(of: body)?.header.author }

    private static func footer(of body: ByteBuffer) -> ObjectFooter? {
        guard
            case .complete(let footer) = try? ObjectReader.footer(tail: body, objectSizeBytes: body.readableBytes)
        else { return nil }
        return footer
    }

    private static func records(in body: ByteBuffer) -> Set<Oracle.Written> {
        guard let footer = footer(of: body) else { return [] }
        var found: Set<Oracle.Written> = []
        for run in footer.runs {
            guard let bytes = body.getSlice(at: body.readerIndex + Int(run.position), length: Int(run.lengthBytes)),
                let texts = try? Batches.texts(in: bytes)
            else { return [] }
            found.formUnion(texts.compactMap(Oracle.Written.init(text:)))
        }
        return found
    }
}

extension Oracle.Written {
    init?(text: String) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let producer = Int(parts[0]), let value = Int(parts[1]) else { return nil }
        self.init(producer: producer, value: value)
    }
}
