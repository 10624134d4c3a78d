import Testing

@testable import Ledger

@Suite struct ExtentListTests {
    private func extent(_ number: Int) -> PackedExtent {
        PackedExtent(
            baseOffset: Int64(number * 10), object: Int64(number), minTimestampMs: 0,
            maxTimestampMs: Int64((number * 7_919) % 1_000), position: 0, lengthBytes: 1)
    }

    @Test func anExtentTakesFortyBytes() {
        #expect(MemoryLayout<PackedExtent>.stride == 40)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func itEqualsAPlainArrayWhateverIsAppendedAndRemoved(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var list = ExtentList()
        var twin: [PackedExtent] = []
        var number = 0
        for _ in 0..<40 {
            for _ in 0..<Int.random(in: 0...300, using: &random) {
                let isNew = list.append(extent(number))
                #expect(isNew)
                twin.append(extent(number))
                number += 1
            }
            let dropped = Int.random(in: 0...min(twin.count, 250), using: &random)
            list.removeFirst(dropped)
            twin.removeFirst(dropped)
            #expect(list.count == twin.count)
            #expect(list.last == twin.last)
            #expect((0..<list.count).map { list[$0] } == twin)
            let offset = Int64.random(in: 0...Int64(number * 10 + 5), using: &random)
            #expect(list.index(holding: offset) == twin.lastIndex { $0.baseOffset <= offset })
            let timestampMs = Int64.random(in: 0...1_001, using: &random)
            #expect(list.firstIndex(atOrAfter: timestampMs) == twin.firstIndex { $0.maxTimestampMs >= timestampMs })
            #expect(list.maxTimestampMs == twin.map(\.maxTimestampMs).max())
            #expect(list.indexOfMaxTimestamp() == twin.firstIndex { $0.maxTimestampMs == list.maxTimestampMs })
        }
    }

    /// By seed: ranges that begin or end at, before and behind the borders of chunks, after fronts were dropped.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func itEqualsAPlainArrayWhateverIsReplaced(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var list = ExtentList()
        var twin: [PackedExtent] = []
        var number = 0
        for _ in 0..<30 {
            for _ in 0..<Int.random(in: 0...700, using: &random) {
                list.appendUnmerged(extent(number))
                twin.append(extent(number))
                number += 1
            }
            let dropped = Int.random(
                in: 0...min(twin.count, [3, 300, 700].randomElement(using: &random)!), using: &random)
            list.removeFirst(dropped)
            twin.removeFirst(dropped)
            for _ in 0..<3 where !twin.isEmpty {
                let border = Int.random(in: 0...twin.count / 512, using: &random) * 512 - dropped % 512
                let near = border + Int.random(in: -2...2, using: &random)
                let anywhere = Int.random(in: 0..<twin.count, using: &random)
                let first = max(0, min(twin.count - 1, Bool.random(using: &random) ? near : anywhere))
                let length = [1, 2, 511, 512, 513, twin.count].randomElement(using: &random)!
                let range = first..<min(twin.count, first + length)
                let others = (0..<Int.random(in: 1...min(3, range.count), using: &random)).map { step in
                    var other = twin[first + step]
                    other.object += 1_000_000
                    other.maxTimestampMs = Int64.random(in: 0...2_000, using: &random)
                    return other
                }
                list.replace(range, with: others)
                twin.replaceSubrange(range, with: others)
            }
            #expect((0..<list.count).map { list[$0] } == twin, "seed \(seed)")
            #expect(list.last == twin.last)
            let timestampMs = Int64.random(in: 0...2_001, using: &random)
            #expect(list.firstIndex(atOrAfter: timestampMs) == twin.firstIndex { $0.maxTimestampMs >= timestampMs })
            #expect(list.maxTimestampMs == twin.map(\.maxTimestampMs).max())
            let offset = Int64.random(in: 0...Int64(number * 10 + 5), using: &random)
            #expect(list.index(holding: offset) == twin.lastIndex { $0.baseOffset <= offset })
        }
    }

    @Test func replacingLeavesFullChunksBeforeTheFirstChangeAlone() {
        var list = ExtentList()
        for number in 0..<2_000 { list.appendUnmerged(extent(number)) }
        let copy = list
        list.replace(1_700..<1_800, with: [extent(1_700)])
        #expect(!list.hasOtherChunks(than: copy))
        list.replace(600..<601, with: [extent(600)])
        #expect(list.hasOtherChunks(than: copy))
    }

    @Test func onlyTheLastExtentGrowsAndOnlyByWhatFollowsIt() {
        var list = ExtentList()
        func part(_ position: UInt32, object: Int64 = 1) -> PackedExtent {
            PackedExtent(
                baseOffset: Int64(position), object: object, minTimestampMs: 0, maxTimestampMs: 0, position: position,
                lengthBytes: 10)
        }
        let parts = [part(0), part(10), part(30), part(40, object: 2)]
        let areNew = parts.map { list.append($0) }
        #expect(areNew == [true, false, true, true])
        list.removeFirst(3)
        let isNew = list.append(part(50, object: 2))
        #expect(isNew)
        #expect(list.count == 1)
    }

    @Test func twoListsShareTheirFullChunksAfterACopy() {
        var left = ExtentList()
        var right = ExtentList()
        for number in 0..<1_200 {
            _ = left.append(extent(number))
            _ = right.append(extent(number))
        }
        #expect(left.hasOtherChunks(than: right))
        right = left
        _ = right.append(extent(1_200))
        #expect(!left.hasOtherChunks(than: right))
    }
}
