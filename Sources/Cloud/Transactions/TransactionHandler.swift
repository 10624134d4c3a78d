import GroupCoordination
import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// The requests of transactional producers. The ledger decides; this names topics, versions and error codes.
///
/// Source: Kafka 4.3, `TransactionCoordinator`, `KafkaApis`. The end of a transaction is one record of the ledger, so no request
/// ever meets a transaction that is being ended.
struct TransactionHandler: Sendable {
    let ledger: Ledger
    let groups: GroupService
    let world: CloudWorld

    // MARK: Adding

    func addPartitions(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(AddPartitionsToTxnRequest.self)
        let version = request.header.apiVersion
        if version >= 4 { return addPartitions(asked.transactions, request, loop) }
        let (places, flaws) = resolve(asked.topics)
        let code = places.map { places in
            add(asked.transactionalID, asked.producerID, asked.producerEpoch, places, loop)
        }
        let result = code ?? loop.makeSucceededFuture(.none)
        return result.map { code in
            var response = AddPartitionsToTxnResponse()
            response.topics = Self.topics(asked.topics, flaws, Self.shown(code, oldBelow: 2, version))
            return response
        }.answer(request)
    }

    /// From version 4 on several transactions come in one request: brokers of Kafka ask each other so.
    private func addPartitions(
        _ transactions: [AddPartitionsToTxnRequest.Transaction], _ request: KafkaRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        let results = transactions.map { asked -> EventLoopFuture<AddPartitionsToTxnResponse.Transaction> in
            let (places, flaws) = resolve(asked.topics)
            let code: EventLoopFuture<ErrorCode>
            if let places, asked.verifiesOnly {
                code = loop.makeSucceededFuture(verify(asked, places))
            } else if let places {
                code = add(asked.transactionalID, asked.producerID, asked.producerEpoch, places, loop)
            } else {
                code = loop.makeSucceededFuture(.none)
            }
            return code.map { code in
                var answer = AddPartitionsToTxnResponse.Transaction()
                answer.transactionalID = asked.transactionalID
                answer.topics = Self.topics(asked.topics, flaws, code)
                return answer
            }
        }
        return EventLoopFuture.whenAllSucceed(results, on: loop).map { transactions in
            var response = AddPartitionsToTxnResponse()
            response.transactions = transactions
            return response
        }.answer(request)
    }

    private func verify(_ asked: AddPartitionsToTxnRequest.Transaction, _ places: [TopicPartition]) -> ErrorCode {
        guard let facts = ledger.view.transaction(asked.transactionalID), facts.producerID == asked.producerID else {
            return .invalidProducerIdMapping
        }
        guard facts.epoch == asked.producerEpoch else { return .producerFenced }
        let isIn = facts.phase == .ongoing && places.allSatisfy { facts.partitions.contains($0) }
        return isIn ? .none : .transactionAbortable
    }

    private func add(
        _ id: String, _ producerID: Int64, _ epoch: Int16, _ places: [TopicPartition], _ loop: any EventLoop
    ) -> EventLoopFuture<ErrorCode> {
        guard !id.isEmpty else { return loop.makeSucceededFuture(.invalidRequest) }
        let command = AddToTransaction(
            transactionalID: id, producerID: producerID, epoch: epoch, partitions: places, nowMs: world.wallMs())
        return outcome(.addToTransaction(command), loop)
    }

    /// Nil, and what is wrong with each, where a partition is not there: then nothing is added (rule T2).
    private func resolve(
        _ topics: [AddPartitionsToTxnRequest.Topic]
    ) -> (places: [TopicPartition]?, flaws: [[ErrorCode]]) {
        var places: [TopicPartition] = []
        let flaws = topics.map { topic -> [ErrorCode] in
            let facts = ledger.view.topic(named: topic.name)
            return topic.partitions.map { index in
                guard let facts, index >= 0, index < facts.partitionCount else { return .unknownTopicOrPartition }
                places.append(TopicPartition(topicID: facts.id, partition: index))
                return .none
            }
        }
        let isWhole = flaws.allSatisfy { $0.allSatisfy { $0 == .none } }
        return (isWhole ? places : nil, flaws)
    }

    private static func topics(
        _ asked: [AddPartitionsToTxnRequest.Topic], _ flaws: [[ErrorCode]], _ code: ErrorCode
    ) -> [AddPartitionsToTxnResponse.Topic] {
        let isFlawed = flaws.contains { $0.contains { $0 != .none } }
        return zip(asked, flaws).map { topic, flaws in
            AddPartitionsToTxnResponse.Topic(
                name: topic.name,
                partitions: zip(topic.partitions, flaws).map { index, flaw in
                    let own = flaw == .none && isFlawed ? ErrorCode.operationNotAttempted : flaw
                    return .init(index: index, errorCode: isFlawed ? own : code)
                })
        }
    }

    func addOffsets(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(AddOffsetsToTxnRequest.self)
        var response = AddOffsetsToTxnResponse()
        guard !asked.transactionalID.isEmpty, !asked.groupID.isEmpty else {
            response.errorCode = asked.groupID.isEmpty ? .invalidGroupId : .invalidRequest
            return request.answer(response, on: loop)
        }
        let command = AddToTransaction(
            transactionalID: asked.transactionalID, producerID: asked.producerID, epoch: asked.producerEpoch,
            group: asked.groupID, nowMs: world.wallMs())
        return outcome(.addToTransaction(command), loop).map { [response] code in
            var response = response
            response.errorCode = Self.shown(code, oldBelow: 2, request.header.apiVersion)
            return response
        }.answer(request)
    }

    // MARK: Offsets

    func commitOffsets(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(TxnOffsetCommitRequest.self)
        let version = request.header.apiVersion
        var response = TxnOffsetCommitResponse()
        var items: [CommitGroupOffsets.Item] = []
        var slots: [(topic: Int, partition: Int)] = []
        let membership = checkMember(asked, version)
        for (topicIndex, topic) in asked.topics.enumerated() {
            let facts = ledger.view.topic(named: topic.name)
            var answer = TxnOffsetCommitResponse.Topic()
            answer.name = topic.name
            for (index, partition) in topic.partitions.enumerated() {
                let isThere = partition.index >= 0 && partition.index < facts?.partitionCount ?? 0
                let code = membership != .none ? membership : isThere ? .none : .unknownTopicOrPartition
                answer.partitions.append(.init(index: partition.index, errorCode: code))
                guard code == .none, let facts else { continue }
                slots.append((topicIndex, index))
                items.append(
                    CommitGroupOffsets.Item(
                        topicID: facts.id, partition: partition.index, offset: partition.committedOffset,
                        leaderEpoch: partition.committedLeaderEpoch, metadata: partition.metadata ?? ""))
            }
            response.topics.append(answer)
        }
        guard !items.isEmpty else { return request.answer(response, on: loop) }
        let command = CommitTransactionOffsets(
            transactionalID: asked.transactionalID, producerID: asked.producerID, epoch: asked.producerEpoch,
            group: asked.groupID, items: items, addsGroup: version >= 5, nowMs: world.wallMs())
        return ledger.submit(.commitTransactionOffsets(command), on: loop).map { [response, slots] result in
            var response = response
            for (index, slot) in slots.enumerated() {
                response.topics[slot.topic].partitions[slot.partition].errorCode = Self.code(result, index)
            }
            return response
        }.answer(request)
    }

    private static func code(_ result: Result<LedgerAnswer, LedgerError>, _ index: Int) -> ErrorCode {
        switch result {
        case .success(.errorCodes(let codes)): index < codes.count ? codes[index] : .unknownServerError
        case .success: .unknownServerError
        case .failure(let error): error.coordinatorCode
        }
    }

    /// A member must be of this generation; who says nothing of a member is believed (rule T10).
    private func checkMember(_ asked: TxnOffsetCommitRequest, _ version: Int16) -> ErrorCode {
        guard !asked.groupID.isEmpty else { return .invalidGroupId }
        guard version >= 3, asked.generationID >= 0 || !asked.memberID.isEmpty || asked.groupInstanceID != nil else {
            return .none
        }
        return groups.checkCommit(
            group: asked.groupID, memberID: asked.memberID, instanceID: asked.groupInstanceID,
            generation: asked.generationID, isKnown: ledger.view.groupExists(asked.groupID),
            missing: .illegalGeneration)
    }

    // MARK: Ending

    func end(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(EndTxnRequest.self)
        let version = request.header.apiVersion
        let command = EndTransaction(
            transactionalID: asked.transactionalID, producerID: asked.producerID, epoch: asked.producerEpoch,
            commits: asked.isCommit, raisesEpoch: version >= 5, nowMs: world.wallMs())
        return ledger.submit(.endTransaction(command), on: loop).map { result in
            var response = EndTxnResponse()
            switch result {
            case .success(.transaction(.accepted(let producerID, let epoch))):
                response.producerID = producerID
                response.producerEpoch = epoch
            case .success(.transaction(.rejected(let code))):
                response.errorCode = Self.shown(code, oldBelow: 2, version)
            case .success: response.errorCode = .unknownServerError
            case .failure(let error): response.errorCode = error.coordinatorCode
            }
            return response
        }.answer(request)
    }

    private func outcome(_ command: LedgerCommand, _ loop: any EventLoop) -> EventLoopFuture<ErrorCode> {
        ledger.submit(command, on: loop).map { result in
            switch result {
            case .success(.transaction(.accepted)): .none
            case .success(.transaction(.rejected(let code))): code
            case .success: .unknownServerError
            case .failure(let error): error.coordinatorCode
            }
        }
    }

    /// Clients of before KIP-588 know a fenced producer by another code.
    static func shown(_ code: ErrorCode, oldBelow version: Int16, _ asked: Int16) -> ErrorCode {
        code == .producerFenced && asked < version ? .invalidProducerEpoch : code
    }
}
