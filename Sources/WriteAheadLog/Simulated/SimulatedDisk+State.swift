import Glibc

extension SimulatedDisk.State {
    /// Counts an operation and lets it fail if it is meant to. With power off inside it, the caller's effect still
    /// lands among the unsynced things for writes, which call `enter` last.
    mutating func enter(
        _ operation: DiskError.Operation, _ name: String, _ failing: WritableKeyPath<SimulatedDisk.Faults, Int>
    ) throws(DiskError) {
        precondition(underWay == nil, "\(operation) \(name): a write is under way")
        operations += 1
        if faults.powerOffAt == operations { isOff = true }
        if isOff { throw DiskError(operation, name, errno: ENODEV) }
        if faults.isReadOnly, operation != .syncDirectory { throw DiskError(operation, name, errno: EROFS) }
        guard faults[keyPath: failing] > 0 else { return }
        faults[keyPath: failing] -= 1
        throw DiskError(operation, name, errno: faults.errno)
    }

    mutating func write(_ file: SimulatedDisk.File, _ bytes: [UInt8], at offset: Int) throws(DiskError) {
        precondition(
            offset % Block.sizeBytes == 0 && bytes.count % Block.sizeBytes == 0, "unaligned write at \(offset)")
        writtenBytes += UInt64(bytes.count)
        observer?(bytes, offset)
        let wasOff = isOff
        defer {
            // Even a failing write may have reached the medium in part.
            if !wasOff, !faults.isReadOnly, let inode = inodes[file.inode], offset + bytes.count <= inode.current.count
            {
                inodes[file.inode]?.put(.init(offset: offset, bytes: bytes))
            }
        }
        try enter(.write, file.name, \.failingWrites)
        guard let inode = inodes[file.inode] else { throw DiskError(.write, file.name, errno: EIO) }
        guard offset + bytes.count <= inode.current.count else { throw DiskError(.write, file.name, errno: ENOSPC) }
    }

    /// An operation of its own, so that power may go between beginning and finishing: nobody hears of it before the end.
    mutating func begin(_ file: SimulatedDisk.File, _ bytes: [UInt8], at offset: Int) {
        precondition(underWay == nil, "begin \(file.name): a write is under way")
        let wasOff = isOff
        observer?(bytes, offset)
        operations += 1
        if faults.powerOffAt == operations { isOff = true }
        underWay = SimulatedDisk.UnderWay(file: file, bytes: wasOff ? [] : bytes, offset: offset)
    }

    mutating func finish() throws(DiskError) {
        guard let begun = underWay else { preconditionFailure("no write is under way") }
        if isOff {
            landUnderWay()
            throw DiskError(.write, begun.file.name, errno: ENODEV)
        }
        underWay = nil
        try write(begun.file, begun.bytes, at: begun.offset)
        try sync(begun.file)
    }

    /// What was begun and never finished is among the unsynced writes.
    mutating func landUnderWay() {
        guard let begun = underWay else { return }
        underWay = nil
        guard let inode = inodes[begun.file.inode], begun.offset + begun.bytes.count <= inode.current.count else {
            return
        }
        inodes[begun.file.inode]?.put(.init(offset: begun.offset, bytes: begun.bytes))
    }

    mutating func sync(_ file: SimulatedDisk.File) throws(DiskError) {
        do throws(DiskError) {
            try enter(.sync, file.name, \.failingSyncs)
        } catch {
            // With power off nothing has answered, and the writes are as they were.
            if !isOff { inodes[file.inode]?.doubt() }
            throw error
        }
        inodes[file.inode]?.sync()
    }

    /// Forgets files that no name leads to: none now, and none that a crash may bring back.
    mutating func dropUnnamed() {
        var used = Set(names.values).union(durableNames.values)
        for case .link(_, let inode) in changes { used.insert(inode) }
        inodes = inodes.filter { used.contains($0.key) }
    }
}

extension SimulatedDisk.Inode {
    mutating func put(_ write: SimulatedDisk.Write) {
        current.replaceSubrange(write.offset..<write.offset + write.bytes.count, with: write.bytes)
        writes.append(write)
        fold()
    }

    mutating func sync() {
        for place in writes.indices where !writes[place].isDoubtful { writes[place].isDurable = true }
        fold()
    }

    mutating func doubt() {
        for place in writes.indices where !writes[place].isDurable { writes[place].isDoubtful = true }
    }

    /// Writes whose fate is settled need not be remembered.
    private mutating func fold() {
        while let first = writes.first, first.isDurable {
            base.replaceSubrange(first.offset..<first.offset + first.bytes.count, with: first.bytes)
            writes.removeFirst()
        }
    }

    mutating func crash(using random: inout some RandomNumberGenerator) {
        for write in writes {
            if write.isDurable {
                base.replaceSubrange(write.offset..<write.offset + write.bytes.count, with: write.bytes)
                continue
            }
            let fate = Int.random(in: 0...3, using: &random)
            for start in stride(from: 0, to: write.bytes.count, by: Block.sizeBytes) {
                // 0: lost, 1: kept, 2: cut somewhere, 3: any of its blocks.
                let isKept = fate == 1 || (fate >= 2 && Bool.random(using: &random))
                if !isKept, fate == 2 { break }
                guard isKept else { continue }
                let end = min(start + Block.sizeBytes, write.bytes.count)
                base.replaceSubrange(write.offset + start..<write.offset + end, with: write.bytes[start..<end])
            }
        }
        writes = []
        current = base
    }
}
