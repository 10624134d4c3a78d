/// Checksums of any stretch of a stream in constant time, after one pass over its bytes.
///
/// Bytes that only look like the start of a frame would otherwise cost a whole checksum each: a kilobyte of
/// `D3 03 D3 03 …` would be summed five hundred times. All three checksums follow from the sums up to the two ends.
struct RunningSums: Sendable {
    private struct Sum {
        var crc24q: UInt32 = 0
        var a: UInt8 = 0
        var b: UInt8 = 0
        var xor: UInt8 = 0
    }

    /// The stream position of the first sum.
    private var start: UInt64 = 0
    /// `sums[n]` covers the bytes from `start` up to `start + n`.
    private var sums: [Sum] = []
    private static let staleBytesMax: UInt64 = 8192

    /// Extends the sums to the end of `bytes`, which stand at `position`. Positions never go back.
    /// Returns how many bytes were new.
    mutating func cover(_ bytes: UnsafeRawBufferPointer, at position: UInt64) -> Int {
        if sums.isEmpty || position > start + UInt64(sums.count - 1) {
            start = position
            sums.removeAll(keepingCapacity: true)
            sums.append(Sum())
        } else if position - start > Self.staleBytesMax {
            sums.removeFirst(Int(position - start))
            start = position
        }
        let coveredBytes = Int(start + UInt64(sums.count - 1) - position)
        guard coveredBytes < bytes.count else { return 0 }
        extend(UnsafeRawBufferPointer(rebasing: bytes[coveredBytes...]))
        return bytes.count - coveredBytes
    }

    private mutating func extend(_ bytes: UnsafeRawBufferPointer) {
        Checksums.crc24qTable.withUnsafeBufferPointer { table in
            var sum = sums[sums.count - 1]
            for byte in bytes {
                sum.crc24q = Checksums.crc24qStep(sum.crc24q, byte, table)
                sum.a &+= byte
                sum.b &+= sum.a
                sum.xor ^= byte
                sums.append(sum)
            }
        }
    }

    mutating func removeAll() {
        guard !sums.isEmpty else { return }
        sums = []
    }

    func crc24q(_ range: Range<UInt64>) -> UInt32 {
        let (first, last) = ends(range)
        return last.crc24q ^ Checksums.crc24q(first.crc24q, shiftedByBytes: range.count)
    }

    func fletcher8(_ range: Range<UInt64>) -> UInt16 {
        let (first, last) = ends(range)
        let a = last.a &- first.a
        let b = last.b &- first.b &- UInt8(truncatingIfNeeded: range.count) &* first.a
        return UInt16(a) << 8 | UInt16(b)
    }

    func xor(_ range: Range<UInt64>) -> UInt8 {
        let (first, last) = ends(range)
        return first.xor ^ last.xor
    }

    private func ends(_ range: Range<UInt64>) -> (Sum, Sum) {
        (sums[Int(range.lowerBound - start)], sums[Int(range.upperBound - start)])
    }
}
