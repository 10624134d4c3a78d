/// What a walk over the records of a produced batch shows: rule P5.
struct RecordSurvey {
    /// A batch whose records all have the smallest time of all is no exception: the first one has it.
    private(set) var maxTimestampMs = Int64.min
    private(set) var maxTimestampOffsetDelta: Int32 = 0
    private var flaws: [(index: Int32, flaw: RecordFlaw)] = []
    private var flawCount = 0
    private var allFlawsAreTimestamps = true

    private enum RecordFlaw {
        case keyMissing
        case timestampOutOfRange(Int64)
    }

    private init() {}

    /// - Parameter payload: the records, decompressed.
    static func walk(
        _ payload: UnsafeRawBufferPointer, _ header: RecordBatchHeader, _ rules: ProduceRules
    ) -> Result<RecordSurvey, BatchRefusal> {
        var survey = RecordSurvey()
        var scanner = RecordScanner(payload)
        let timestampsMs = rules.timestampsMs
        var number: Int32 = 0
        do {
            while number < header.recordCount {
                try scanner.skip(offsetDeltas: (min: number, max: number))
                let timestampMs = header.baseTimestamp &+ scanner.timestampDelta
                if timestampMs > survey.maxTimestampMs {
                    survey.maxTimestampMs = timestampMs
                    survey.maxTimestampOffsetDelta = number
                }
                if rules.isCompacted, !scanner.hasKey {
                    survey.note(.keyMissing, at: number)
                } else if !timestampsMs.contains(timestampMs), timestampMs != -1 {
                    survey.note(.timestampOutOfRange(timestampMs), at: number)
                }
                number += 1
            }
        } catch {
            return .failure(BatchRefusal(.recordMalformed(index: Int(number), reason: error)))
        }
        let left = scanner.remainingBytes
        guard left == 0 else {
            return .failure(BatchRefusal(.recordMalformed(index: Int(number), reason: .trailingBytes(left))))
        }
        return survey.refusal(timestampsMs).map { .failure($0) } ?? .success(survey)
    }

    private mutating func note(_ flaw: RecordFlaw, at index: Int32) {
        flawCount += 1
        if case .keyMissing = flaw { allFlawsAreTimestamps = false }
        if flaws.count < BatchRefusal.recordErrorsMax { flaws.append((index, flaw)) }
    }

    /// INVALID_TIMESTAMP where only times are wrong, else INVALID_RECORD, as Kafka has it.
    private func refusal(_ timestampsMs: ClosedRange<Int64>) -> BatchRefusal? {
        guard flawCount > 0 else { return nil }
        let errors = flaws.map { index, flaw in
            ProduceResponse.RecordError(batchIndex: index, message: Self.text(flaw, timestampsMs))
        }
        let code = allFlawsAreTimestamps ? ErrorCode.invalidTimestamp : .invalidRecord
        let first = errors.first?.message ?? ""
        return BatchRefusal(
            code, "\(flawCount) records are refused; record \(flaws[0].index): \(first)", recordErrors: errors)
    }

    private static func text(_ flaw: RecordFlaw, _ timestampsMs: ClosedRange<Int64>) -> String {
        switch flaw {
        case .keyMissing: "a compacted topic takes no message without a key"
        case .timestampOutOfRange(let timestampMs):
            "timestamp \(timestampMs) is not within \(timestampsMs.lowerBound) to \(timestampsMs.upperBound)"
        }
    }
}
