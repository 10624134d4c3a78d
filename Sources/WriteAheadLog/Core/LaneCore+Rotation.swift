import Glibc
import NIOCore
import Sealing

extension LaneCore {
    enum Room {
        case ready
        case quotaReached(AppendRejection)
        case failed(AppendRejection)
    }

    /// Makes sure the newest segment may be written and has room for a group of `groupBytes` of data.
    mutating func makeRoom(_ groupBytes: Int) -> Room {
        do throws(DiskError) {
            try settle()
            try renewCheckpoint()
        } catch {
            return failed(error)
        }
        if configuration.fullPolicy == .dropOldest { makeSpace(groupBytes) }
        let limit = (segments.last?.sizeBytes ?? 0) - configuration.controlReserveBytes
        if !mustRotate, !wantsRotation, tailBytes + groupBytes <= limit {
            return checkQuota(diskBytes, adding: groupBytes)
        }
        let afterRotation = segments.reduce(Block.sizeBytes * 2) { $0 + $1.sizeBytes }
        let quota = checkQuota(afterRotation, adding: groupBytes)
        guard case .ready = quota else { return quota }
        do throws(DiskError) {
            try rotate()
            return .ready
        } catch {
            return error.isDiskFull && makeSpaceOnDisk(groupBytes) ? .ready : failed(error)
        }
    }

    /// Before anything is freed for room, and above the quota if need be, which is then looked at. On a full disk room is worth more
    /// than the older checkpoint.
    private mutating func renewCheckpoint() throws(DiskError) {
        guard needsCheckpoint else { return }
        do throws(DiskError) { try rotate() } catch {
            guard error.isDiskFull else { throw error }
            needsCheckpoint = false
        }
    }

    private mutating func failed(_ error: DiskError) -> Room {
        isFailing = true
        note(error)
        return .failed(error.isDiskFull ? .diskFull : .diskFailed(error.description))
    }

    /// Under pressure uploaded segments go although local retention would keep them. Whether each entry of the group has room
    /// is looked at when it is staged.
    private mutating func checkQuota(_ usedBytes: Int, adding groupBytes: Int) -> Room {
        let least = Block.sizeBytes
        var used = usedBytes
        while used + max(least, groupBytes) > configuration.dataQuotaBytes,
            let freed = freeOldest(ignoringRetention: true)
        {
            used -= freed
        }
        finishFreeing()
        guard used + least > configuration.dataQuotaBytes else { return .ready }
        return .quotaReached(.quotaExceeded(usedBytes: used, quotaBytes: configuration.quotaBytes))
    }

    /// A write or sync failed in the newest segment: what it holds beyond the tail is unknown, so it is never written
    /// again.
    mutating func giveUpSegment(_ error: DiskError) {
        mustRotate = true
        sealer = nil
        isFailing = true
        alarms.suspectSegments += 1
        note(error)
        dropIfEmpty()
    }

    /// A segment given up before anything but its checkpoint was acknowledged holds nothing anybody needs.
    private mutating func dropIfEmpty() {
        guard segments.count > 1, let last = segments.last, last.isReadable, last.firstLSN + 1 == state.nextLSN
        else { return }
        disk.endWriting(last.file)
        // If the name stays, its frames are dead all the same: the next segment starts with the same LSN.
        try? disk.remove(SegmentName.live(last.sequence))
        try? disk.syncDirectory()
        segments.removeLast()
        tallies.forget(last.sequence)
        segmentsChanged()
        state.nextLSN = last.firstLSN
        tailBytes = segments[segments.count - 1].endBytes
    }

    mutating func note(_ error: DiskError) {
        alarms.lastMessage = error.description
    }

    /// Starts a new segment: header and checkpoint are durable under its name when this returns.
    mutating func rotate() throws(DiskError) {
        precondition(isIdle, "a segment is begun while a group is being written")
        let sequence = nextSegment
        nextSegment += 1
        let salt = Self.mix(saltSeed, sequence)
        let keys = sealing?.makeKeys(lane: configuration.name, segment: sequence, salt: salt)
        let sealer = keys.map { GroupSealer($0.first) }
        let head = stageHead(sequence: sequence, salt: salt, sealer)
        let name = try prepareFile(head, sequence: sequence)
        do throws(DiskError) {
            try disk.rename(name, to: SegmentName.live(sequence))
            try disk.syncDirectory()
        } catch {
            withdraw(SegmentName.live(sequence), name)
            throw error
        }
        let file = try openRenamed(SegmentName.live(sequence))
        closeNewest()
        segments.append(
            LiveSegment(
                sequence: sequence, salt: salt, file: file, sizeBytes: configuration.segmentSizeBytes,
                firstLSN: state.nextLSN, endBytes: configuration.segmentSizeBytes, bootEpoch: bootEpoch, keys: keys))
        self.sealer = sealer
        segmentsChanged()
        tallies.begin(sequence)
        tailBytes = head.count
        state.nextLSN += 1
        mustRotate = false
        needsCheckpoint = false
        wantsRotation = false
        isFailing = false
        freeUploaded()
    }

    private mutating func openRenamed(_ name: String) throws(DiskError) -> D.File {
        do throws(DiskError) {
            return try disk.open(name)
        } catch {
            withdraw(name, name)
            throw error
        }
    }

    /// Segment header and checkpoint group, ready to be written at offset 0.
    private func stageHead(sequence: UInt64, salt: UInt64, _ sealer: GroupSealer?) -> UnsafeRawBufferPointer {
        var after = state
        after.nextLSN += 1
        let payload = Checkpoint.encode(after)
        let staging = idleStaging
        staging.begin(
            sequence: sequence, salt: salt, firstLSN: state.nextLSN, bootEpoch: bootEpoch, leadBytes: Block.sizeBytes,
            sealer: sealer, offsetBytes: Block.sizeBytes)
        var frame = FrameHeader(kind: .checkpoint, lsn: state.nextLSN, payloadBytes: payload.readableBytes)
        // When the segment before this one was closed, for its age after a restart.
        frame.wallMs = lastWallMs
        frame.clockQuality = lastWallQuality
        _ = staging.append(frame, topic: "", payload: payload)
        let bytes = staging.finish()
        let header = SegmentHeader(
            sequence: sequence, salt: salt, segmentSizeBytes: configuration.segmentSizeBytes, firstLSN: state.nextLSN,
            bootEpoch: bootEpoch, key: sealer?.key.record)
        header.encode(into: staging.memory)
        return bytes
    }

    /// Writes the head into a spare file, or into a new one when there is none or the spare fails.
    private mutating func prepareFile(_ head: UnsafeRawBufferPointer, sequence: UInt64) throws(DiskError) -> String {
        if let spare = spares.popLast() {
            do throws(DiskError) {
                let file = try disk.open(spare)
                counters.written.heads += UInt64(head.count)
                try disk.writeAndSync(file, head, at: 0)
                disk.endWriting(file)
                return spare
            } catch {
                note(error)
                try? disk.remove(spare)
            }
        }
        let name = SegmentName.unfinished(sequence)
        try? disk.remove(name)
        do throws(DiskError) {
            let file = try create(name)
            counters.written.zeroes += UInt64(configuration.segmentSizeBytes)
            counters.written.heads += UInt64(head.count)
            try disk.writeAndSync(file, head, at: 0)
            disk.endWriting(file)
            return name
        } catch {
            try? disk.remove(name)
            throw error
        }
    }

    private mutating func create(_ name: String) throws(DiskError) -> D.File {
        do throws(DiskError) {
            return try disk.create(name, sizeBytes: configuration.segmentSizeBytes)
        } catch {
            guard error.isDiskFull, dropHeadCopies() else { throw error }
            return try disk.create(name, sizeBytes: configuration.segmentSizeBytes)
        }
    }

    /// The name may or may not be on disk. Unless it is surely gone, the segment before it takes no more frames,
    /// because recovery would take them for dead.
    private mutating func withdraw(_ names: String...) {
        do throws(DiskError) {
            for name in names { try disk.remove(name) }
            try disk.syncDirectory()
        } catch {
            mustRotate = true
            note(error)
        }
    }

    /// Once another key is to wrap, what comes next goes into a new segment: a quiet lane would need the old key for as long as it takes to
    /// fill one. The keys are looked at every few seconds at most.
    mutating func noteKeyChange() {
        guard seals, let sealing, let keys = segments.last?.keys, clockNs >= keyLookNs else { return }
        keyLookNs = clockNs &+ Self.keyLookEveryNs
        if sealing.ring().first.id != keys.first.record.keyID { wantsRotation = true }
    }

    private static var keyLookEveryNs: UInt64 { 2_000_000_000 }

    private mutating func closeNewest() {
        guard let newest = segments.last else { return }
        if newest.isReadable { segments[segments.count - 1].endBytes = tailBytes }
        segments[segments.count - 1].closedAtNs = lastAppendNs > 0 ? lastAppendNs : clockNs
        disk.endWriting(newest.file)
    }

    static func mix(_ seed: UInt64, _ sequence: UInt64) -> UInt64 {
        // SplitMix64, Steele et al. 2014: every input gives a different output.
        var z = seed &+ sequence &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension DiskError {
    var isDiskFull: Bool { errno == ENOSPC || errno == EDQUOT }
}
