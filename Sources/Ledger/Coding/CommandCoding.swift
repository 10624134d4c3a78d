public import NIOCore

// A command on its way to the sequencer of another node.

extension LedgerCommand {
    private enum Tag: UInt64 {
        case createTopic = 1
        case deleteTopic = 2
        case createPartitions = 3
        case setTopicConfigs = 4
        case commitObject = 5
        case adoptSiteObject = 6
        case allocateProducerID = 7
        case commitGroupOffsets = 8
        case deleteGroup = 9
        case deleteGroupOffsets = 10
        case advanceLogStart = 11
        case markObjectsDeleting = 12
        case forgetObjects = 13
        case expireProducers = 14
        case registerNode = 15
        case registerSite = 16
        case setSiteState = 17
        case initTransaction = 18
        case addToTransaction = 19
        case commitTransactionOffsets = 20
        case endTransaction = 21
        case abortOverdueTransaction = 22
        case writeMarkers = 23
        case expireTransactions = 24
        case registerVolume = 25
        case commitLog = 26
        case rewriteExtents = 27
        case setSiteRegistration = 40
        case noteSiteBoot = 41
    }

    /// The command as a frame of its own.
    public func encoded() -> ByteBuffer {
        var writer = LedgerWriter(reservedBytes: 256)
        switch self {
        case .createTopic(let command): LedgerCommand.write(.createTopic, command, &writer)
        case .deleteTopic(let command): LedgerCommand.write(.deleteTopic, command, &writer)
        case .createPartitions(let command): LedgerCommand.write(.createPartitions, command, &writer)
        case .setTopicConfigs(let command): LedgerCommand.write(.setTopicConfigs, command, &writer)
        case .commitObject(let command): LedgerCommand.write(.commitObject, command, &writer)
        case .adoptSiteObject(let command): LedgerCommand.write(.adoptSiteObject, command, &writer)
        case .allocateProducerID(let count):
            LedgerCommand.write(.allocateProducerID, ProducerIDsAllocated(count: Int64(count)), &writer)
        case .commitGroupOffsets(let command): LedgerCommand.write(.commitGroupOffsets, command, &writer)
        case .deleteGroup(let group): LedgerCommand.write(.deleteGroup, GroupDeleted(group: group), &writer)
        case .deleteGroupOffsets(let group, let partitions):
            let fields = GroupOffsetsDeleted(group: group, partitions: partitions)
            LedgerCommand.write(.deleteGroupOffsets, fields, &writer)
        case .advanceLogStart(let command): LedgerCommand.write(.advanceLogStart, command, &writer)
        case .markObjectsDeleting(let keys, let nowMs):
            LedgerCommand.write(.markObjectsDeleting, ObjectsMarked(keys: keys, nowMs: nowMs), &writer)
        case .forgetObjects(let keys, let nowMs):
            LedgerCommand.write(.forgetObjects, ObjectsForgotten(keys: keys, nowMs: nowMs), &writer)
        case .expireProducers(let idleSinceMs, let nowMs):
            let fields = ProducersExpired(idleSinceMs: idleSinceMs, nowMs: nowMs)
            LedgerCommand.write(.expireProducers, fields, &writer)
        case .registerNode(let nodeID, let nowMs):
            LedgerCommand.write(.registerNode, NodeRegistered(nodeID: nodeID, nowMs: nowMs), &writer)
        case .registerSite(let site, let nowMs):
            LedgerCommand.write(.registerSite, SiteSeen(site: site, nowMs: nowMs), &writer)
        case .setSiteState(let command): LedgerCommand.write(.setSiteState, command, &writer)
        case .initTransaction(let command): LedgerCommand.write(.initTransaction, command, &writer)
        case .addToTransaction(let command): LedgerCommand.write(.addToTransaction, command, &writer)
        case .commitTransactionOffsets(let command): LedgerCommand.write(.commitTransactionOffsets, command, &writer)
        case .endTransaction(let command): LedgerCommand.write(.endTransaction, command, &writer)
        case .abortOverdueTransaction(let command): LedgerCommand.write(.abortOverdueTransaction, command, &writer)
        case .writeMarkers(let command): LedgerCommand.write(.writeMarkers, command, &writer)
        case .expireTransactions(let idleSinceMs, let nowMs):
            let fields = TransactionsExpired(idleSinceMs: idleSinceMs, nowMs: nowMs)
            LedgerCommand.write(.expireTransactions, fields, &writer)
        case .registerVolume(let command): LedgerCommand.write(.registerVolume, command, &writer)
        case .commitLog(let command): LedgerCommand.write(.commitLog, command, &writer)
        case .rewriteExtents(let command): LedgerCommand.write(.rewriteExtents, command, &writer)
        case .setSiteRegistration(let command): LedgerCommand.write(.setSiteRegistration, command, &writer)
        case .noteSiteBoot(let command): LedgerCommand.write(.noteSiteBoot, command, &writer)
        }
        return LedgerFrame.command.wrap(writer.bytes)
    }

    private static func write(_ tag: Tag, _ fields: some LedgerCoded, _ writer: inout LedgerWriter) {
        writer.write(tag.rawValue)
        writer.write(fields)
    }

    /// Reads one command that fills all of `frame`.
    public init(decoding frame: ByteBuffer) throws(LedgerFormatError) {
        var reader = try LedgerFrame.command.open(frame)
        let number = try reader.readUnsigned()
        guard let tag = Tag(rawValue: number) else {
            throw .invalidTag(what: "ledger command", tag: Int(truncatingIfNeeded: number))
        }
        self = try LedgerCommand(tag, &reader)
        try reader.expectEnd()
    }

    private init(_ tag: Tag, _ reader: inout LedgerReader) throws(LedgerFormatError) {
        switch tag {
        case .createTopic: self = .createTopic(try reader.read(CreateTopic.self))
        case .deleteTopic: self = .deleteTopic(try reader.read(DeleteTopic.self))
        case .createPartitions: self = .createPartitions(try reader.read(CreatePartitions.self))
        case .setTopicConfigs: self = .setTopicConfigs(try reader.read(SetTopicConfigs.self))
        case .commitObject: self = .commitObject(try reader.read(ObjectCommit.self))
        case .adoptSiteObject: self = .adoptSiteObject(try reader.read(SiteAdoption.self))
        case .allocateProducerID:
            self = .allocateProducerID(count: Int(try reader.read(ProducerIDsAllocated.self).count))
        case .commitGroupOffsets: self = .commitGroupOffsets(try reader.read(CommitGroupOffsets.self))
        case .deleteGroup: self = .deleteGroup(group: try reader.read(GroupDeleted.self).group)
        case .deleteGroupOffsets:
            let fields = try reader.read(GroupOffsetsDeleted.self)
            self = .deleteGroupOffsets(group: fields.group, partitions: fields.partitions)
        case .advanceLogStart: self = .advanceLogStart(try reader.read(AdvanceLogStart.self))
        case .markObjectsDeleting:
            let fields = try reader.read(ObjectsMarked.self)
            self = .markObjectsDeleting(keys: fields.keys, nowMs: fields.nowMs)
        case .forgetObjects:
            let fields = try reader.read(ObjectsForgotten.self)
            self = .forgetObjects(keys: fields.keys, nowMs: fields.nowMs)
        case .expireProducers:
            let fields = try reader.read(ProducersExpired.self)
            self = .expireProducers(idleSinceMs: fields.idleSinceMs, nowMs: fields.nowMs)
        case .registerNode:
            let fields = try reader.read(NodeRegistered.self)
            self = .registerNode(nodeID: fields.nodeID, nowMs: fields.nowMs)
        case .registerSite:
            let fields = try reader.read(SiteSeen.self)
            self = .registerSite(site: fields.site, nowMs: fields.nowMs)
        case .setSiteState: self = .setSiteState(try reader.read(SetSiteState.self))
        case .initTransaction: self = .initTransaction(try reader.read(InitTransaction.self))
        case .addToTransaction: self = .addToTransaction(try reader.read(AddToTransaction.self))
        case .commitTransactionOffsets: self = .commitTransactionOffsets(try reader.read(CommitTransactionOffsets.self))
        case .endTransaction: self = .endTransaction(try reader.read(EndTransaction.self))
        case .abortOverdueTransaction: self = .abortOverdueTransaction(try reader.read(AbortOverdueTransaction.self))
        case .writeMarkers: self = .writeMarkers(try reader.read(WriteMarkers.self))
        case .expireTransactions:
            let fields = try reader.read(TransactionsExpired.self)
            self = .expireTransactions(idleSinceMs: fields.idleSinceMs, nowMs: fields.nowMs)
        case .registerVolume: self = .registerVolume(try reader.read(RegisterVolume.self))
        case .commitLog: self = .commitLog(try reader.read(LogCommit.self))
        case .rewriteExtents: self = .rewriteExtents(try reader.read(ExtentRewrite.self))
        case .setSiteRegistration: self = .setSiteRegistration(try reader.read(SetSiteRegistration.self))
        case .noteSiteBoot: self = .noteSiteBoot(try reader.read(NoteSiteBoot.self))
        }
    }
}
