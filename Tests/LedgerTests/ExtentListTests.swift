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
