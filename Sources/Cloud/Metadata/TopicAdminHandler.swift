import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// CreateTopics, DeleteTopics, CreatePartitions and DescribeConfigs.
struct TopicAdminHandler: Sendable {
    let ledger: Ledger
    let creator: TopicCreator
    let configs: TopicConfigs
    let world: CloudWorld

    // MARK: Create

    func create(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(CreateTopicsRequest.self)
        let counts = Dictionary(grouping: asked.topics, by: \.name).mapValues(\.count)
        let results = asked.topics.map { topic in
            create(topic, isTwice: counts[topic.name] ?? 0 > 1, validatesOnly: asked.validatesOnly, loop)
        }
        return EventLoopFuture.whenAllSucceed(results, on: loop).map { topics in
            var response = CreateTopicsResponse()
            response.topics = topics
            return response
        }.answer(request)
    }

    private func create(
        _ topic: CreateTopicsRequest.Topic, isTwice: Bool, validatesOnly: Bool, _ loop: any EventLoop
    ) -> EventLoopFuture<CreateTopicsResponse.Topic> {
        var answer = CreateTopicsResponse.Topic()
        answer.name = topic.name
        answer.errorMessage = nil
        answer.configs = nil
        if let (code, text) = flaw(topic, isTwice: isTwice) {
            answer.errorCode = code
            answer.errorMessage = text
            return loop.makeSucceededFuture(answer)
        }
        let chosen = Dictionary(topic.configs.map { ($0.name, $0.value ?? "") }) { _, last in last }
        let partitions = partitionCount(topic)
        let command = creator.command(topic.name, partitions, chosen, validatesOnly: validatesOnly)
        return ledger.submit(.createTopic(command), on: loop).map { [answer] result in
            var answer = answer
            switch result {
            case .success:
                answer.topicID = validatesOnly ? .zero : command.topic.id
                answer.partitionCount = partitions
                answer.replicationFactor = replicationFactor(topic)
                answer.configs = shown(chosen)
            case .failure(let error):
                answer.errorCode = error.errorCode
                answer.errorMessage = "\(error)"
            }
            return answer
        }
    }

    /// Rules C1 of Kafka's `ReplicationControlManager`, as far as the ledger does not check them.
    private func flaw(_ topic: CreateTopicsRequest.Topic, isTwice: Bool) -> (ErrorCode, String)? {
        if isTwice { return (.invalidRequest, "The request names the topic twice.") }
        if !topic.assignments.isEmpty {
            guard topic.partitionCount == -1, topic.replicationFactor == -1 else {
                return (.invalidRequest, "Assignments come with neither a partition count nor a replication factor.")
            }
            let indexes = topic.assignments.map(\.index).sorted()
            guard indexes == Array(0..<Int32(indexes.count)), topic.assignments.allSatisfy({ !$0.brokerIDs.isEmpty })
            else { return (.invalidReplicaAssignment, "Assignments must name each partition from 0 once.") }
        } else {
            guard topic.partitionCount == -1 || topic.partitionCount > 0 else {
                return (.invalidPartitions, "Number of partitions was set to an invalid non-positive value.")
            }
            guard topic.replicationFactor == -1 || (1...3).contains(topic.replicationFactor) else {
                return (.invalidReplicationFactor, "The object store replicates; 1 to 3 are accepted.")
            }
        }
        for config in topic.configs {
            if let text = configs.flaw(config.name, config.value) { return (.invalidConfig, text) }
        }
        return nil
    }

    private func partitionCount(_ topic: CreateTopicsRequest.Topic) -> Int32 {
        if !topic.assignments.isEmpty { return Int32(clamping: topic.assignments.count) }
        return topic.partitionCount == -1 ? creator.partitionsDefault : topic.partitionCount
    }

    private func replicationFactor(_ topic: CreateTopicsRequest.Topic) -> Int16 {
        if let first = topic.assignments.first { return Int16(clamping: first.brokerIDs.count) }
        return topic.replicationFactor == -1 ? 1 : topic.replicationFactor
    }

    private func shown(_ chosen: [String: String]) -> [CreateTopicsResponse.Config] {
        configs.options.keys.sorted().map { name in
            var config = CreateTopicsResponse.Config()
            config.name = name
            config.value = chosen[name] ?? configs.options[name]?.standard
            config.source = chosen[name] == nil ? 5 : 1
            return config
        }
    }

    // MARK: Delete

    func delete(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DeleteTopicsRequest.self)
        let version = request.header.apiVersion
        let topics = version >= 6 ? asked.topics : asked.topicNames.map { DeleteTopicsRequest.Topic(name: $0) }
        return EventLoopFuture.whenAllSucceed(topics.map { delete($0, loop) }, on: loop).map { topics in
            var response = DeleteTopicsResponse()
            response.topics = topics
            return response
        }.answer(request)
    }

    private func delete(
        _ topic: DeleteTopicsRequest.Topic, _ loop: any EventLoop
    ) -> EventLoopFuture<DeleteTopicsResponse.Topic> {
        var answer = DeleteTopicsResponse.Topic()
        answer.name = topic.name
        answer.topicID = topic.topicID
        if topic.name != nil, topic.topicID != .zero {
            answer.errorCode = .invalidRequest
            answer.errorMessage = "Name a topic by its name or by its id."
            return loop.makeSucceededFuture(answer)
        }
        let reference = topic.name.map { TopicReference.name($0) } ?? .id(topic.topicID)
        let command = LedgerCommand.deleteTopic(DeleteTopic(topic: reference, nowMs: world.wallMs()))
        return ledger.submit(command, on: loop).map { [answer] result in
            var answer = answer
            switch result {
            case .success(.topic(let facts)):
                answer.name = facts.name
                answer.topicID = facts.id
            case .success: break
            case .failure(let error): answer.errorCode = error.errorCode
            }
            return answer
        }
    }

    // MARK: Partitions

    func createPartitions(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(CreatePartitionsRequest.self)
        let counts = Dictionary(grouping: asked.topics, by: \.name).mapValues(\.count)
        let results = asked.topics.map { topic -> EventLoopFuture<CreatePartitionsResponse.Result> in
            var answer = CreatePartitionsResponse.Result(name: topic.name, errorCode: .none, errorMessage: nil)
            guard counts[topic.name] == 1 else {
                answer.errorCode = .invalidRequest
                answer.errorMessage = "The request names the topic twice."
                return loop.makeSucceededFuture(answer)
            }
            let command = CreatePartitions(
                topic: .name(topic.name), partitionCount: topic.partitionCount, validateOnly: asked.validatesOnly,
                nowMs: world.wallMs())
            return ledger.submit(.createPartitions(command), on: loop).map { [answer] result in
                var answer = answer
                if case .failure(let error) = result {
                    answer.errorCode = error.errorCode
                    answer.errorMessage = "\(error)"
                }
                return answer
            }
        }
        return EventLoopFuture.whenAllSucceed(results, on: loop).map { results in
            var response = CreatePartitionsResponse()
            response.results = results
            return response
        }.answer(request)
    }

    // MARK: Describe

    func describeConfigs(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(DescribeConfigsRequest.self)
        var response = DescribeConfigsResponse()
        response.results = asked.resources.map { resource in
            var result = DescribeConfigsResponse.Result()
            result.resourceType = resource.type
            result.resourceName = resource.name
            result.errorMessage = nil
            switch resource.type {
            case 2: describeTopic(resource, asked.includesSynonyms, &result)
            case 4, 8, 16, 32: break
            default:
                result.errorCode = .invalidRequest
                result.errorMessage = "Unknown resource type \(resource.type)."
            }
            return result
        }
        return request.answer(response, on: loop)
    }

    private func describeTopic(
        _ resource: DescribeConfigsRequest.Resource, _ withSynonyms: Bool,
        _ result: inout DescribeConfigsResponse.Result
    ) {
        guard let facts = ledger.view.topic(named: resource.name) else {
            result.errorCode = TopicName.isValid(resource.name) ? .unknownTopicOrPartition : .invalidTopicException
            return
        }
        let wanted = resource.keys.map { Set($0) }
        for (name, option) in configs.options.sorted(by: { $0.key < $1.key }) where wanted?.contains(name) ?? true {
            var config = DescribeConfigsResponse.Config()
            config.name = name
            config.value = facts.configs[name] ?? option.standard
            config.source = facts.configs[name] == nil ? 5 : 1
            config.type = option.kind.rawValue
            config.documentation = nil
            if withSynonyms { config.synonyms = synonyms(name, option, facts) }
            result.configs.append(config)
        }
    }

    private func synonyms(
        _ name: String, _ option: TopicConfigs.Option, _ facts: TopicFacts
    ) -> [DescribeConfigsResponse.Synonym] {
        var synonyms: [DescribeConfigsResponse.Synonym] = []
        for (value, source) in [(facts.configs[name], Int8(1)), (option.standard, 5)] {
            guard let value else { continue }
            var synonym = DescribeConfigsResponse.Synonym()
            synonym.name = name
            synonym.value = value
            synonym.source = source
            synonyms.append(synonym)
        }
        return synonyms
    }
}
