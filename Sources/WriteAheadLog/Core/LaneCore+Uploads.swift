import NIOCore

extension LaneCore {
    /// Makes a plan durable. Repeating one that is open writes nothing, but makes sure of what recovery found.
    public mutating func recordPlan(_ plan: UploadPlan) throws(WALError) {
        committed.removeAll(keepingCapacity: true)
        switch state.uploads.check(plan, durableLSN: durableLSN) {
        case .known: return try confirm()
        case .refused(let reason): throw .planRefused(reason)
        case .record: break
        }
        if let gap = state.gaps.gap(holding: plan.lastLSN), gap.lastLSN > plan.lastLSN {
            throw .planOutdated(gapLastLSN: gap.lastLSN)
        }
        try writeControl(FrameHeader(plan, lsn: 0), plan.encoded)
        state.uploads.apply(plan)
    }

    /// Makes it durable that the object of an open plan is stored, and frees what that allows.
    /// `nowNs` is the monotonic time, for local retention by age.
    public mutating func recordUploaded(sequence: UInt64, lastLSN: UInt64, nowNs: UInt64 = 0) throws(WALError) {
        committed.removeAll(keepingCapacity: true)
        clockNs = max(clockNs, nowNs)
        switch state.uploads.check(uploaded: sequence, lastLSN: lastLSN) {
        case .known: return try confirm()
        case .refused(let reason): throw .planRefused(reason)
        case .record: break
        }
        try writeControl(.uploaded, UploadedMark(sequence: sequence, lastLSN: lastLSN).encoded)
        state.uploads.apply(uploaded: sequence, lastLSN: lastLSN)
        state.gaps.uploaded(through: state.uploads.uploadedThrough)
        freeUploaded()
        freeDropped()
    }

    /// Marks an orderly end, so that the next recovery knows that nothing before it was unfinished. Best effort.
    public mutating func seal() {
        committed.removeAll(keepingCapacity: true)
        guard !mustRotate, !wantsRotation, let active = segments.last, tailBytes + Block.sizeBytes <= active.sizeBytes
        else { return }
        try? writeControl(.seal, ByteBuffer())
    }

    /// What is known may be so from the end of a log that is not settled yet.
    private mutating func confirm() throws(WALError) {
        do throws(DiskError) { try settle() } catch {
            note(error)
            throw error.isDiskFull ? .diskFull : .diskFailed(error.description)
        }
    }

    mutating func writeControl(_ kind: FrameKind, _ payload: ByteBuffer) throws(WALError) {
        try writeControl(FrameHeader(kind: kind, lsn: 0, payloadBytes: payload.readableBytes), payload)
    }

    /// One group with one control frame, which gets its LSN here. May use the end of a segment that data may not, and
    /// ignores the quota.
    mutating func writeControl(_ frame: FrameHeader, _ payload: ByteBuffer) throws(WALError) {
        var last: DiskError?
        for _ in 0..<2 {
            do throws(DiskError) {
                try makeControlRoom(
                    Block.roundedUp(GroupHeader.sealedSizeBytes + FrameHeader.sizeBytes + payload.readableBytes))
                try writeControlGroup(frame, payload)
                return
            } catch {
                last = error
                if mustRotate, segments.isEmpty { break }
            }
        }
        guard let last else { throw .closed }
        throw last.isDiskFull ? .diskFull : .diskFailed(last.description)
    }

    private mutating func makeControlRoom(_ needed: Int) throws(DiskError) {
        try settle()
        let size = segments.last?.sizeBytes ?? 0
        if !mustRotate, !wantsRotation, tailBytes + needed <= size - configuration.controlReserveBytes { return }
        do throws(DiskError) {
            try rotate()
        } catch {
            note(error)
            if mustRotate || tailBytes + needed > size { throw error }
        }
    }

    private mutating func writeControlGroup(_ header: FrameHeader, _ payload: ByteBuffer) throws(DiskError) {
        guard let active = segments.last else { throw DiskError(.write, "no segment", errno: 5) }
        precondition(isIdle, "a control frame beside a group that is being written")
        let staging = idleStaging
        begin(staging, at: tailBytes, in: active)
        var frame = header
        frame.lsn = state.nextLSN
        _ = staging.append(frame, topic: "", payload: payload)
        let bytes = finish(staging, in: active)
        counters.written.control += UInt64(bytes.count)
        do throws(DiskError) {
            try disk.writeAndSync(active.file, bytes, at: tailBytes)
        } catch {
            giveUpSegment(error)
            throw error
        }
        segments[segments.count - 1].noteGroup(lsn: state.nextLSN, at: tailBytes)
        tailBytes += bytes.count
        state.nextLSN += 1
        counters.groups += 1
        isFailing = false
    }
}
