import KafkaProtocol
import Ledger
import NIOCore

extension Housekeeper {
    /// A stretch of one partition.
    private struct PlacedStretch {
        var topic: String
        var place: TopicPartition
        var stretch: MergePlan.Stretch
    }

    /// Partitions share objects of the node, as they do when they are written. A second look would find what the first has made:
    /// it is left to the next round.
    func mergeAll() async {
        for holdsOffsets in [false, true] {
            var bytes: Int64 = 0
            var load: [PlacedStretch] = []
            for placed in stretches() where placed.stretch.holdsOffsets == holdsOffsets {
                if !load.isEmpty, bytes + placed.stretch.bytes > Int64(configuration.mergedBytes) {
                    await merge(load, holdsOffsets: holdsOffsets)
                    load = []
                    bytes = 0
                }
                if Task.isCancelled { return }
                load.append(placed)
                bytes += placed.stretch.bytes
            }
            await merge(load, holdsOffsets: holdsOffsets)
        }
    }

    private func stretches() -> [PlacedStretch] {
        let nowMs = world.wallMs()
        var found: [PlacedStretch] = []
        for topic in view.topics() where !CleanupPolicy(topic).compacts {
            let limits = RetentionLimits(topic, defaults: topics)
            if let ms = limits.ms, ms <= configuration.mergeRetentionMsMin { continue }
            let rules = MergePlan.Rules(
                afterMs: configuration.mergeAfterMs, countMin: configuration.mergeCountMin,
                belowBytes: Int64(configuration.mergeBelowBytes), runBytes: Int64(configuration.mergedBytes),
                spanMsMax: limits.ms.map { $0 / 10 } ?? .max, nowMs: nowMs)
            for index in 0..<topic.partitionCount {
                let place = TopicPartition(topicID: topic.id, partition: index)
                guard !isResting(place), let start = firstWorthMoving(place, limits, nowMs) else { continue }
                found += MergePlan(rules: rules).stretches(extents(place, from: start)).map {
                    PlacedStretch(topic: topic.name, place: place, stretch: $0)
                }
            }
        }
        return found
    }

    /// Behind all that retention drops soon.
    private func firstWorthMoving(_ place: TopicPartition, _ limits: RetentionLimits, _ nowMs: Int64) -> Int64? {
        guard let facts = view.partition(place.topicID, place.partition),
            facts.extentCount >= configuration.mergeCountMin
        else { return nil }
        guard limits.isLimited else { return facts.logStart }
        return view.logStartAfterRetention(
            place.topicID, place.partition, olderThanMs: limits.ms.map { nowMs - $0 + configuration.expiringMs },
            sizeBytesMax: limits.bytes.map { $0 - $0 / 10 })
    }

    private func merge(_ load: [PlacedStretch], holdsOffsets: Bool) async {
        var drafts: [RunDraft] = []
        for placed in load {
            do throws(HousekeepingError) {
                drafts.append(try await read(placed))
            } catch .cancelled { return } catch { failed(placed.place, topic: placed.topic, error) }
        }
        // One partition that has changed meanwhile need not keep the others.
        drafts.removeAll { !rewriter.isUnchanged($0) }
        guard let first = drafts.first else { return }
        do throws(HousekeepingError) {
            let report = try await rewriter.write(drafts, holdsOffsets: holdsOffsets)
            for (draft, isReplaced) in zip(drafts, report.isReplaced) {
                guard isReplaced else {
                    count { $0.refused += 1 }
                    continue
                }
                succeeded(draft.place)
                count { $0.extentsReplaced += UInt64(draft.extents.count) }
            }
            count {
                $0.merges += 1
                $0.bytesWritten += UInt64(report.sizeBytes)
            }
        } catch { failed(first.place, topic: first.topic, error) }
    }

    private func read(_ placed: PlacedStretch) async throws(HousekeepingError) -> RunDraft {
        var draft = RunDraft(place: placed.place, topic: placed.topic, extents: placed.stretch.extents)
        for extent in placed.stretch.extents {
            try await source.forEachBatch(of: extent) { (batch, header) throws(HousekeepingError) in
                draft.add(batch, header)
            }
        }
        return draft
    }
}
