extension LedgerRecord {
    /// The record's number in the log. Numbers are never given a new meaning.
    private enum Tag: UInt64 {
        case topicCreated = 1
        case topicDeleted = 2
        case partitionsGrown = 3
        case topicConfigsSet = 4
        case objectCommitted = 5
        case siteObjectAdopted = 6
        case producerIDsAllocated = 7
        case groupOffsetsCommitted = 8
        case groupDeleted = 9
        case groupOffsetsDeleted = 10
        case logStartsAdvanced = 11
        case objectsMarked = 12
        case objectsForgotten = 13
        case producersExpired = 14
        case nodeRegistered = 15
        case siteSeen = 16
        case siteStateSet = 17
        case transactionInitialised = 18
        case transactionExtended = 19
        case transactionOffsetsAdded = 20
        case transactionEnded = 21
        case markersWritten = 22
        case transactionsExpired = 23
        case volumeRegistered = 24
        case logCommitted = 25
        case extentsRewritten = 26
        case siteRegistered = 40
        case siteBooted = 41
        case siteGapsNoted = 30
    }

    func write(to writer: inout LedgerWriter) {
        switch self {
        case .topicCreated(let record): LedgerRecord.write(.topicCreated, record, &writer)
        case .topicDeleted(let record): LedgerRecord.write(.topicDeleted, record, &writer)
        case .partitionsGrown(let record): LedgerRecord.write(.partitionsGrown, record, &writer)
        case .topicConfigsSet(let record): LedgerRecord.write(.topicConfigsSet, record, &writer)
        case .objectCommitted(let record): LedgerRecord.write(.objectCommitted, record, &writer)
        case .siteObjectAdopted(let record): LedgerRecord.write(.siteObjectAdopted, record, &writer)
        case .producerIDsAllocated(let record): LedgerRecord.write(.producerIDsAllocated, record, &writer)
        case .groupOffsetsCommitted(let record): LedgerRecord.write(.groupOffsetsCommitted, record, &writer)
        case .groupDeleted(let record): LedgerRecord.write(.groupDeleted, record, &writer)
        case .groupOffsetsDeleted(let record): LedgerRecord.write(.groupOffsetsDeleted, record, &writer)
        case .logStartsAdvanced(let record): LedgerRecord.write(.logStartsAdvanced, record, &writer)
        case .objectsMarked(let record): LedgerRecord.write(.objectsMarked, record, &writer)
        case .objectsForgotten(let record): LedgerRecord.write(.objectsForgotten, record, &writer)
        case .producersExpired(let record): LedgerRecord.write(.producersExpired, record, &writer)
        case .nodeRegistered(let record): LedgerRecord.write(.nodeRegistered, record, &writer)
        case .siteSeen(let record): LedgerRecord.write(.siteSeen, record, &writer)
        case .siteStateSet(let record): LedgerRecord.write(.siteStateSet, record, &writer)
        case .transactionInitialised(let record): LedgerRecord.write(.transactionInitialised, record, &writer)
        case .transactionExtended(let record): LedgerRecord.write(.transactionExtended, record, &writer)
        case .transactionOffsetsAdded(let record): LedgerRecord.write(.transactionOffsetsAdded, record, &writer)
        case .transactionEnded(let record): LedgerRecord.write(.transactionEnded, record, &writer)
        case .markersWritten(let record): LedgerRecord.write(.markersWritten, record, &writer)
        case .transactionsExpired(let record): LedgerRecord.write(.transactionsExpired, record, &writer)
        case .volumeRegistered(let record): LedgerRecord.write(.volumeRegistered, record, &writer)
        case .logCommitted(let record): LedgerRecord.write(.logCommitted, record, &writer)
        case .extentsRewritten(let record): LedgerRecord.write(.extentsRewritten, record, &writer)
        case .siteRegistered(let record): LedgerRecord.write(.siteRegistered, record, &writer)
        case .siteBooted(let record): LedgerRecord.write(.siteBooted, record, &writer)
        case .siteGapsNoted(let record): LedgerRecord.write(.siteGapsNoted, record, &writer)
        }
    }

    private static func write(_ tag: Tag, _ record: some LedgerCoded, _ writer: inout LedgerWriter) {
        writer.write(tag.rawValue)
        writer.write(record)
    }

    init(from reader: inout LedgerReader) throws(LedgerFormatError) {
        let number = try reader.readUnsigned()
        guard let tag = Tag(rawValue: number) else {
            throw .invalidTag(what: "ledger record", tag: Int(truncatingIfNeeded: number))
        }
        self =
            switch tag {
            case .topicCreated: .topicCreated(try reader.read(TopicCreated.self))
            case .topicDeleted: .topicDeleted(try reader.read(TopicDeleted.self))
            case .partitionsGrown: .partitionsGrown(try reader.read(PartitionsGrown.self))
            case .topicConfigsSet: .topicConfigsSet(try reader.read(TopicConfigsSet.self))
            case .objectCommitted: .objectCommitted(try reader.read(ObjectCommitted.self))
            case .siteObjectAdopted: .siteObjectAdopted(try reader.read(SiteObjectAdopted.self))
            case .producerIDsAllocated: .producerIDsAllocated(try reader.read(ProducerIDsAllocated.self))
            case .groupOffsetsCommitted: .groupOffsetsCommitted(try reader.read(GroupOffsetsCommitted.self))
            case .groupDeleted: .groupDeleted(try reader.read(GroupDeleted.self))
            case .groupOffsetsDeleted: .groupOffsetsDeleted(try reader.read(GroupOffsetsDeleted.self))
            case .logStartsAdvanced: .logStartsAdvanced(try reader.read(LogStartsAdvanced.self))
            case .objectsMarked: .objectsMarked(try reader.read(ObjectsMarked.self))
            case .objectsForgotten: .objectsForgotten(try reader.read(ObjectsForgotten.self))
            case .producersExpired: .producersExpired(try reader.read(ProducersExpired.self))
            case .nodeRegistered: .nodeRegistered(try reader.read(NodeRegistered.self))
            case .siteSeen: .siteSeen(try reader.read(SiteSeen.self))
            case .siteStateSet: .siteStateSet(try reader.read(SiteStateSet.self))
            case .transactionInitialised: .transactionInitialised(try reader.read(TransactionInitialised.self))
            case .transactionExtended: .transactionExtended(try reader.read(TransactionExtended.self))
            case .transactionOffsetsAdded: .transactionOffsetsAdded(try reader.read(TransactionOffsetsAdded.self))
            case .transactionEnded: .transactionEnded(try reader.read(TransactionEnded.self))
            case .markersWritten: .markersWritten(try reader.read(MarkersWritten.self))
            case .transactionsExpired: .transactionsExpired(try reader.read(TransactionsExpired.self))
            case .volumeRegistered: .volumeRegistered(try reader.read(VolumeRegistered.self))
            case .logCommitted: .logCommitted(try reader.read(LogCommitted.self))
            case .extentsRewritten: .extentsRewritten(try reader.read(ExtentsRewritten.self))
            case .siteRegistered: .siteRegistered(try reader.read(SiteRegistered.self))
            case .siteBooted: .siteBooted(try reader.read(SiteBooted.self))
            case .siteGapsNoted: .siteGapsNoted(try reader.read(SiteGapsNoted.self))
            }
    }
}
