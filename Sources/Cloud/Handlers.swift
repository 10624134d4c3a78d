import GroupCoordination
import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Which handler answers which request.
struct Handlers: Sendable {
    private let produce: ProduceHandler
    private let producerIDs: ProducerIDHandler
    private let fetch: FetchHandler
    private let listOffsets: ListOffsetsHandler
    private let metadata: MetadataHandler
    private let topics: TopicAdminHandler
    private let groups: GroupHandlers
    private let transactions: TransactionHandler
    private let transactionAdmin: TransactionAdminHandler
    private let records: DeleteRecordsHandler
    private let configs: ConfigAdminHandler
    private let configResources: ConfigResourcesHandler
    private let topicPartitions: TopicPartitionsHandler
    private let logDirs: LogDirsHandler

    init(
        _ configuration: CloudConfiguration, ledger: Ledger, engine: FetchEngine, batcher: ProduceBatcher,
        volume: Volume?,
        groups: GroupService, advertised: Advertised, jobs: JobRunner, world: CloudWorld
    ) {
        let view = ledger.view
        let creator = TopicCreator(ledger: ledger, world: world, partitionsDefault: configuration.partitionsDefault)
        produce = ProduceHandler(
            view: view, batcher: batcher, volume: volume, advertised: advertised, configuration: configuration,
            world: world)
        producerIDs = ProducerIDHandler(ledger: ledger, configuration: configuration.transactions, world: world)
        fetch = FetchHandler(engine: engine, view: view)
        listOffsets = ListOffsetsHandler(
            view: view, search: TimestampSearch(view: view, reader: engine.reader), jobs: jobs)
        metadata = MetadataHandler(view: view, advertised: advertised, creator: creator, configuration: configuration)
        let topicConfigs = TopicConfigs(configuration.topics, hasVolume: volume != nil)
        configs = ConfigAdminHandler(ledger: ledger, configs: topicConfigs, world: world)
        topics = TopicAdminHandler(
            ledger: ledger, creator: creator, configs: topicConfigs, world: world)
        self.groups = GroupHandlers(
            groups: groups, offsets: LedgerOffsets(ledger: ledger, world: world), directory: advertised,
            memberID: world.uuid)
        transactions = TransactionHandler(ledger: ledger, groups: groups, world: world)
        transactionAdmin = TransactionAdminHandler(ledger: ledger, world: world)
        records = DeleteRecordsHandler(ledger: ledger, world: world)
        configResources = ConfigResourcesHandler(view: view, advertised: advertised)
        topicPartitions = TopicPartitionsHandler(view: view, advertised: advertised)
        logDirs = LogDirsHandler(view: view)
    }

    static let apis: [SupportedAPI] =
        GroupHandlers.apis + [
            SupportedAPI(ProduceRequest.self),
            SupportedAPI(FetchRequest.self),
            SupportedAPI(ListOffsetsRequest.self),
            SupportedAPI(MetadataRequest.self),
            SupportedAPI(CreateTopicsRequest.self),
            SupportedAPI(DeleteTopicsRequest.self),
            SupportedAPI(DeleteRecordsRequest.self),
            SupportedAPI(InitProducerIDRequest.self, maxVersion: InitProducerIDRequest.newestStableVersion),
            SupportedAPI(OffsetForLeaderEpochRequest.self),
            SupportedAPI(AddPartitionsToTxnRequest.self),
            SupportedAPI(AddOffsetsToTxnRequest.self),
            SupportedAPI(EndTxnRequest.self),
            SupportedAPI(WriteTxnMarkersRequest.self),
            SupportedAPI(TxnOffsetCommitRequest.self),
            SupportedAPI(DescribeConfigsRequest.self),
            SupportedAPI(AlterConfigsRequest.self),
            SupportedAPI(IncrementalAlterConfigsRequest.self),
            SupportedAPI(CreatePartitionsRequest.self),
            SupportedAPI(DescribeClusterRequest.self),
            SupportedAPI(DescribeProducersRequest.self),
            SupportedAPI(DescribeTransactionsRequest.self),
            SupportedAPI(ListTransactionsRequest.self),
            SupportedAPI(DescribeLogDirsRequest.self),
            SupportedAPI(ListConfigResourcesRequest.self),
            SupportedAPI(DescribeTopicPartitionsRequest.self),
        ]

    /// Throws where the body does not parse.
    func handle(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let loop = connection.eventLoop
        switch request.header.apiKey {
        case .produce: return try produce.handle(request, on: connection)
        case .fetch: return try fetch.handle(request, on: connection)
        case .listOffsets: return try listOffsets.handle(request, loop)
        case .metadata: return try metadata.handle(request, loop)
        case .initProducerID: return try producerIDs.handle(request, loop)
        case .offsetForLeaderEpoch: return try listOffsets.handleEpochs(request, loop)
        case .describeCluster: return try metadata.handleCluster(request, loop)
        case .createTopics: return try topics.create(request, loop)
        case .deleteTopics: return try topics.delete(request, loop)
        case .createPartitions: return try topics.createPartitions(request, loop)
        case .describeConfigs: return try topics.describeConfigs(request, loop)
        case .deleteRecords: return try records.handle(request, loop)
        case .alterConfigs: return try configs.alter(request, loop)
        case .incrementalAlterConfigs: return try configs.alterIncrementally(request, loop)
        case .listConfigResources: return try configResources.handle(request, loop)
        case .describeTopicPartitions: return try topicPartitions.handle(request, loop)
        case .describeLogDirs: return try logDirs.handle(request, loop)
        default: return try handleTransactions(request, on: connection)
        }
    }

    private func handleTransactions(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let loop = connection.eventLoop
        switch request.header.apiKey {
        case .addPartitionsToTxn: return try transactions.addPartitions(request, loop)
        case .addOffsetsToTxn: return try transactions.addOffsets(request, loop)
        case .txnOffsetCommit: return try transactions.commitOffsets(request, loop)
        case .endTxn: return try transactions.end(request, loop)
        case .writeTxnMarkers: return try transactionAdmin.writeMarkers(request, loop)
        case .describeProducers: return try transactionAdmin.producers(request, loop)
        case .describeTransactions: return try transactionAdmin.describe(request, loop)
        case .listTransactions: return try transactionAdmin.list(request, loop)
        default: return try handleGroups(request, on: connection)
        }
    }

    private func handleGroups(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        if let answer = try groups.handle(request, on: connection) { return answer }
        throw .versionUnsupported(api: request.header.apiKey.rawValue, version: request.header.apiVersion)
    }
}
