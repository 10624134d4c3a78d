import KafkaProtocol
import NIOCore
import Sealing

extension LaneCore {
    /// Reads the directory and takes up where the log ended. Throws when the directory itself cannot be listed, and when a
    /// newer program has written segments here; then nothing has been changed.
    ///
    /// The newest readable checkpoint gives the state, the frames after it bring it up to date; older segments are
    /// looked at by their first block only. Call once, before anything else.
    ///
    /// `knownDurable` is asked for the highest LSN that is known, from elsewhere, to have been durable in these segments. In the last
    /// group rot and an unfinished write look alike: without such knowledge it is cut at its first bad frame, with it only
    /// what is bad is lost, and told.
    public mutating func recover(
        knownDurable: ([(sequence: UInt64, salt: UInt64)]) -> UInt64 = { _ in 0 }
    ) throws(WALError) -> RecoveryReport {
        var report = RecoveryReport()
        report.lane = configuration.name
        report.engine = disk.engineDescription
        let entries: [DiskEntry]
        do throws(DiskError) { entries = try disk.list() } catch { throw .io(error) }
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        let unlocking = LogUnlocking(ring: sealing?.ring(), lane: configuration.name)
        try findSegments(entries, unlocking, &report)
        takeSpares(entries, &report)
        takeHeadCopies(entries)
        let base = loadCheckpoint(&report)
        let known = knownDurable(segments.filter(\.isReadable).map { (sequence: $0.sequence, salt: $0.salt) })
        replay(from: base, window, knownDurable: known, &report)
        joinUnreadable(&report)
        segments.cutBeforeDropped(state.gaps)
        findOldGaps(before: base, window, &report)
        report.gaps = state.gaps.unrecorded(report.gaps)
        bootEpoch = BootEpoch.following(bootEpochSeen, atLeast: bootEpoch)
        report.hadReadErrors = report.hadReadErrors || window.failedBlocks > 0
        settleTail(&report)
        segmentsChanged()
        moveLogStarts()
        freeUploaded()
        freeDropped()
        finish(window, &report)
        return report
    }

    // MARK: Files

    private mutating func takeSpares(_ entries: [DiskEntry], _ report: inout RecoveryReport) {
        for entry in entries {
            let isSpare = SegmentName.isSpare(entry.name)
            let fits =
                entry.sizeBytes == configuration.segmentSizeBytes && spares.count < configuration.spareSegmentsMax
                && (!isSpare || !seals || holdsNoPlainText(entry))
            if isSpare, fits {
                spares.append(entry.name)
            } else if isSpare || SegmentName.isUnfinished(entry.name) {
                do throws(DiskError) { try disk.remove(entry.name) } catch { report.notes.append(error.description) }
            }
        }
    }

    /// Whether a spare file was last a sealed segment, or none yet: what was written plain once is not kept under a sealed log.
    private func holdsNoPlainText(_ entry: DiskEntry) -> Bool {
        let window = ScanWindow(disk: disk, sizeBytes: 2 * Block.sizeBytes)
        guard let file = try? disk.open(entry.name) else { return false }
        window.open(file)
        guard let head = try? window.bytes(at: 0, count: SegmentHeader.readBytes) else { return false }
        return SegmentHeader(reading: head)?.isSealed ?? head.allSatisfy { $0 == 0 }
    }

    private mutating func findSegments(
        _ entries: [DiskEntry], _ unlocking: LogUnlocking, _ report: inout RecoveryReport
    ) throws(WALError) {
        var search = SegmentSearch(disk: disk, unlocking: unlocking)
        var untouchable: [UInt64] = []
        var reason: UntouchableReason?
        for entry in entries {
            guard let sequence = SegmentName.sequence(entry.name) else { continue }
            if let newest = segments.last, sequence > newest.sequence + 1 {
                for missing in (newest.sequence + 1..<sequence).prefix(Self.listedMissingMax) {
                    report.missingSegments.append(missing)
                }
            }
            nextSegment = sequence + 1
            do throws(DiskError) {
                switch try search.identify(entry, sequence) {
                case .segment(var segment):
                    if !segment.hasHeader { segment.bootEpoch = segments.last?.bootEpoch ?? 0 }
                    segments.append(segment)
                case .untouchable(let found):
                    untouchable.append(sequence)
                    reason = reason ?? found
                case nil: break
                }
            } catch {
                report.hadReadErrors = true
                report.notes.append(error.description)
            }
        }
        if let reason {
            throw .untouchable(
                UntouchableSegments(directory: configuration.directory, sequences: untouchable, reason: reason))
        }
        bootEpochSeen = segments.reduce(0) { max($0, $1.bootEpoch) }
        report.segmentCount = segments.count
        report.scannedBytes += search.readBytes
        report.hadReadErrors = report.hadReadErrors || search.failedBlocks > 0
        if !search.unsearched.isEmpty {
            report.notes.append(
                "\(search.unsearched.count) segments without a header were not searched to their end, from"
                    + " \(search.unsearched[0]) on: cairn wal salvage does")
        }
        report.unreadableSegments = segments.filter { !$0.isReadable }.map(\.sequence)
    }

    private static var listedMissingMax: Int { 1000 }

    // MARK: State

    /// Starts from the newest checkpoint that can be read; the place of its segment, or 0 with an empty state.
    private mutating func loadCheckpoint(_ report: inout RecoveryReport) -> Int {
        for place in segments.indices.reversed() where segments[place].isReadable {
            let own = checkpoint(at: segments[place])
            if let checkpoint = own ?? readCheckpoint(segments[place]) {
                state = checkpoint
                needsCheckpoint = own == nil || place + 1 < segments.count
                return place
            }
            report.notes.append("segment \(segments[place].sequence): its checkpoint cannot be read")
        }
        needsCheckpoint = segments.count > 1
        if let first = segments.first(where: \.isReadable) { state.nextLSN = first.firstLSN }
        return 0
    }

    private mutating func replay(
        from base: Int, _ window: ScanWindow<D>, knownDurable: UInt64, _ report: inout RecoveryReport
    ) {
        let readable = segments.indices.filter { $0 >= base && segments[$0].isReadable }
        unsettled = UnsettledTail()
        var expected: UInt64? = readable.first.map { segments[$0].firstLSN }
        for (step, place) in readable.enumerated() {
            let limit = step + 1 < readable.count ? segments[readable[step + 1]].firstLSN : .max
            var scan = scan(place, window, expected: expected, limit: limit)
            scan.knownDurableLSN = knownDurable
            unsettled = UnsettledTail()
            do throws(DiskError) {
                while let item = try scan.next() { apply(item, of: place, &report) }
            } catch {
                // What cannot be read now may be readable later: nothing is written after it in this segment.
                report.notes.append(error.description)
                report.hadReadErrors = true
            }
            expected = scan.expectedLSN ?? expected
            state.nextLSN = max(state.nextLSN, expected ?? 1)
            segments[place].endBytes = limit == .max ? scan.position : segments[place].sizeBytes
            tailBytes = scan.position
        }
    }

    private func scan(
        _ place: Int, _ window: ScanWindow<D>, expected: UInt64?, limit: UInt64
    ) -> SegmentScan<D> {
        let segment = segments[place]
        return SegmentScan(
            window: window, segment: segment, endBytes: segment.sizeBytes, expectedLSN: expected, limitLSN: limit)
    }

    private mutating func apply(_ item: SegmentScan<D>.Item, of place: Int, _ report: inout RecoveryReport) {
        switch item {
        case .frame(let frame):
            segments[place].noteGroup(lsn: frame.header.lsn, at: frame.groupOffset)
            let isHead = frame.groupOffset <= Block.sizeBytes
            unsettled?.groupOffset = isHead || frame.header.kind == .seal ? nil : frame.groupOffset
            state.apply(frame)
            noteWall(frame.header)
            bootEpochSeen = max(bootEpochSeen, frame.bootEpoch ?? 0)
        case .gap(let gap):
            report.gaps.append(gap)
            state.lost(through: gap.lastLSN)
        case .quarantined(let offset, let length):
            report.quarantined.append(
                QuarantinedRange(segment: segments[place].sequence, offsetBytes: offset, lengthBytes: length))
        case .torn(_, let length):
            report.tornTailBytes = length
            unsettled?.tornBytes = length
        }
    }

    // MARK: Losses

    /// An unreadable segment takes the LSN of what follows it, so that it is freed in its turn.
    private mutating func joinUnreadable(_ report: inout RecoveryReport) {
        var next = state.nextLSN
        for place in segments.indices.reversed() {
            if segments[place].isReadable {
                next = segments[place].firstLSN
            } else {
                segments[place].firstLSN = next
            }
        }
    }

    /// Segments before the base are not scanned. Only where a file is missing or unreadable the one before it is walked
    /// to its end, to learn whether LSNs were lost.
    private mutating func findOldGaps(before base: Int, _ window: ScanWindow<D>, _ report: inout RecoveryReport) {
        let readable = segments.indices.filter { $0 <= base && segments[$0].isReadable }
        for (place, following) in zip(readable, readable.dropFirst()) {
            let isNeighbour = segments[place].sequence + 1 == segments[following].sequence
            guard !isNeighbour else { continue }
            guard window.readBytes < Self.oldGapBytesMax else {
                report.notes.append(
                    "losses before LSN \(segments[following].firstLSN) were not counted: readers will find them")
                return
            }
            let limit = segments[following].firstLSN
            var scan = scan(place, window, expected: segments[place].firstLSN, limit: limit)
            do throws(DiskError) {
                while let item = try scan.next() {
                    if case .gap(let gap) = item { report.gaps.append(gap) }
                }
            } catch {
                report.notes.append(error.description)
            }
            guard let end = scan.expectedLSN, end < limit else { continue }
            report.gaps.append(LSNGap(firstLSN: end, lastLSN: limit - 1))
            if state.gaps.covers(end, limit - 1) {
                let dropped = segments[place].sequence..<segments[following].sequence
                report.missingSegments.removeAll { dropped.contains($0) }
            }
        }
    }

    /// Bytes that may be read in all to tell what is missing before the newest checkpoint.
    private static var oldGapBytesMax: Int { 256 << 20 }

    // MARK: Tail

    /// Failing is no reason not to start; it is tried again before anything is written.
    private mutating func settleTail(_ report: inout RecoveryReport) {
        let isUsual = segments.last.map {
            $0.isReadable && $0.sizeBytes == configuration.segmentSizeBytes && $0.sequence + 1 == nextSegment
        }
        let isOld = bootEpoch - min(bootEpoch, segments.last?.bootEpoch ?? 0) > BootEpoch.segmentSpan
        mustRotate = isUsual != true || report.hadReadErrors || isOld || needsCheckpoint
        goOn()
        do throws(DiskError) { try settle() } catch { report.notes.append(error.description) }
    }

    /// Goes on in a sealed segment with a new data key: where a torn tail was cut, or in a disk that was set back to an older copy of itself,
    /// another group goes to a place that the old key has sealed already.
    private mutating func goOn() {
        guard let newest = segments.last, let keys = newest.keys else {
            wantsRotation = seals
            return
        }
        guard let sealing, let key = sealing.renewKey(of: keys, segment: newest.sequence, salt: newest.salt) else {
            mustRotate = true
            return
        }
        keys.add(key)
        sealer = GroupSealer(key)
        wantsRotation = !seals || sealing.ring().first.id != key.record.keyID
    }

    private mutating func finish(_ window: ScanWindow<D>, _ report: inout RecoveryReport) {
        report.durableLSN = durableLSN
        report.uploadedThrough = state.uploads.uploadedThrough
        report.partitionCount = state.partitions.count
        report.producerCount = state.producers.count
        report.scannedBytes += window.readBytes
        report.bootEpoch = bootEpoch
        alarms.quarantinedRanges += UInt64(report.quarantined.count + report.unreadableSegments.count)
        alarms.lostLSNs += report.gaps.reduce(0) { $0 + $1.count }
        if !report.isClean { alarms.lastMessage = report.description }
    }
}
