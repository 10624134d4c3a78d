import KafkaProtocol
import NIOCore
import WriteAheadLog

/// What one Fetch asks, resolved against the topics that are here.
struct FetchPlan: Sendable {
    struct Partition: Sendable {
        let index: Int32
        /// `nil` where ``refusal`` says why nothing can be read.
        let place: (lane: Lane, partition: TopicPartition)?
        let offset: Int64
        let bytesMax: Int
        var refusal = ErrorCode.none
    }

    struct Topic: Sendable {
        let name: String
        let id: KafkaUUID
        let partitions: [Partition]
    }

    let topics: [Topic]
    let bytesMin: Int
    let bytesMax: Int
    let waitMs: Int64
    let readsCommitted: Bool
    let version: Int16

    init(_ request: FetchRequest, version: Int16, services: EdgeServices) {
        self.version = version
        bytesMax = min(max(0, Int(request.maxBytes)), services.configuration.fetchBytesMax)
        bytesMin = min(max(0, Int(request.minBytes)), bytesMax)
        waitMs = Int64(min(max(0, request.maxWaitMs), services.configuration.fetchWaitMaxMs))
        readsCommitted = request.isolationLevel == 1
        topics = request.topics.map { asked in
            let known =
                version >= 13 ? services.topics.topic(id: asked.topicID) : services.topics.topic(named: asked.name)
            let unknown: ErrorCode = version >= 13 ? .unknownTopicId : .unknownTopicOrPartition
            return Topic(
                name: asked.name, id: asked.topicID,
                partitions: asked.partitions.map { Self.partition($0, of: known, unknown: unknown, services) })
        }
    }

    private static func partition(
        _ asked: FetchRequest.Partition, of topic: LocalTopic?, unknown: ErrorCode, _ services: EdgeServices
    ) -> Partition {
        func refused(_ code: ErrorCode) -> Partition {
            Partition(index: asked.index, place: nil, offset: asked.fetchOffset, bytesMax: 0, refusal: code)
        }
        guard let topic else { return refused(unknown) }
        guard (0..<topic.partitionCount).contains(asked.index) else { return refused(.unknownTopicOrPartition) }
        // F4. Our epoch is 0 for ever, -1 asks for no check.
        if asked.currentLeaderEpoch > ClusterView.leaderEpoch { return refused(.unknownLeaderEpoch) }
        return Partition(
            index: asked.index,
            place: (services.lanes[topic.lane], TopicPartition(topic: topic.name, partition: asked.index)),
            offset: asked.fetchOffset, bytesMax: max(0, Int(asked.maxBytes)))
    }

    /// What to watch for new records.
    var watched: [TopicPartition] { topics.flatMap { $0.partitions.compactMap { $0.place?.partition } } }

    /// Whether there is anything to tell: records, or an error. From memory.
    var hasNews: Bool {
        topics.contains { topic in
            topic.partitions.contains { partition in
                guard let place = partition.place else { return true }
                let offsets = place.lane.offsets(of: place.partition)
                return partition.offset < offsets.start || partition.offset != offsets.end
            }
        }
    }
}

/// What was read for a Fetch.
struct FetchResult: Sendable {
    var topics: [FetchResponse.Topic] = []
    var bytes = 0
    var hasError = false
}

extension FetchPlan {
    /// Reads the log; blocks. Whole batches only; the first partition with records gives at least one batch whatever the
    /// limits are (F2).
    func read() -> FetchResult {
        var result = FetchResult()
        for topic in topics {
            var answer = FetchResponse.Topic()
            answer.name = topic.name
            answer.topicID = topic.id
            for partition in topic.partitions {
                let read = read(partition, roomBytes: bytesMax - result.bytes, isFirst: result.bytes == 0)
                result.bytes += read.recordsBytes
                if read.errorCode != .none { result.hasError = true }
                answer.partitions.append(read)
            }
            result.topics.append(answer)
        }
        return result
    }

    private func read(_ partition: Partition, roomBytes: Int, isFirst: Bool) -> FetchResponse.Partition {
        var answer = FetchResponse.Partition()
        answer.index = partition.index
        answer.records = ByteBuffer()
        // Null and not empty for whoever reads uncommitted records (T8).
        answer.abortedTransactions = readsCommitted ? [] : nil
        guard let place = partition.place else {
            answer.errorCode = partition.refusal
            answer.highWatermark = -1
            return answer
        }
        let offsets = place.lane.offsets(of: place.partition)
        answer.set(offsets)
        if offsets.end == 0, partition.offset == 0 { return answer }  // no record yet, so the log does not know it
        let roomBytes = min(roomBytes, partition.bytesMax)
        guard isFirst || roomBytes > 0 || partition.offset > offsets.end else { return answer }
        do throws(WALError) {
            let batches = try Self.batches(
                of: place.partition, in: place.lane, from: partition.offset, bytesMax: max(1, roomBytes))
            answer.set(place.lane.offsets(of: place.partition))
            answer.take(batches, roomBytes: isFirst ? nil : roomBytes, version: version)
        } catch {
            answer.errorCode = Self.code(error)
        }
        return answer
    }

    /// Everything from `offset` on that fits, at least one batch if there is any. The log answers with what one of its sources
    /// has (file index, memory), so it is asked until it has no more.
    private static func batches(
        of partition: TopicPartition, in lane: Lane, from offset: Int64, bytesMax: Int
    ) throws(WALError) -> [StoredBatch] {
        var all: [StoredBatch] = []
        var offset = offset
        var bytes = 0
        repeat {
            let fetched = try lane.log.fetch(
                topic: partition.topic, partition: partition.partition, offset: offset, maxBytes: bytesMax - bytes)
            guard let last = fetched.batches.last else { break }
            for batch in fetched.batches {
                guard all.isEmpty || bytes + batch.batch.readableBytes <= bytesMax else { return all }
                all.append(batch)
                bytes += batch.batch.readableBytes
            }
            offset = last.baseOffset + Int64(last.header.lastOffsetDelta) + 1
        } while bytes < bytesMax
        return all
    }

    /// Codes after which a consumer asks again, save for an offset that is not there.
    private static func code(_ error: WALError) -> ErrorCode {
        switch error {
        case .offsetOutOfRange, .unknownPartition: .offsetOutOfRange
        case .indexing: .offsetNotAvailable
        default: .kafkaStorageError
        }
    }
}

extension FetchResponse.Partition {
    fileprivate mutating func set(_ offsets: PartitionOffsets) {
        highWatermark = offsets.end
        lastStableOffset = offsets.end
        logStartOffset = offsets.start
    }

    /// - Parameter roomBytes: `nil` takes everything.
    fileprivate mutating func take(_ batches: [StoredBatch], roomBytes: Int?, version: Int16) {
        // F8: a reader that old cannot open zstd.
        if version < 10, batches.contains(where: { $0.header.compression == .zstd }) {
            errorCode = .unsupportedCompressionType
            return
        }
        var gathered = GatheredBatches()
        for batch in batches {
            // What does not fit ends the answer: a smaller one behind it would leave a hole.
            guard gathered.bytes + batch.batch.readableBytes <= roomBytes ?? .max else { break }
            gathered.add(batch.batch, isAlone: batches.count == 1)
        }
        setRecords(gathered.slices())
    }
}

/// Batches of one partition: large ones go out by reference, small ones are copied together, since each slice of a group of
/// batches keeps the whole group in memory until the client has taken it.
private struct GatheredBatches {
    private static let referenceBytesMin = 16 << 10
    private var parts: [ByteBuffer] = []
    private var copied = ByteBuffer()
    private(set) var bytes = 0

    mutating func add(_ batch: ByteBuffer, isAlone: Bool) {
        bytes += batch.readableBytes
        if isAlone || batch.readableBytes >= Self.referenceBytesMin {
            endCopy()
            parts.append(batch)
        } else {
            copied.writeImmutableBuffer(batch)
        }
    }

    mutating func slices() -> [ByteBuffer] {
        endCopy()
        return parts
    }

    private mutating func endCopy() {
        guard copied.readableBytes > 0 else { return }
        parts.append(copied)
        copied = ByteBuffer()
    }
}
