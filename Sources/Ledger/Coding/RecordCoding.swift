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
            }
    }
}
