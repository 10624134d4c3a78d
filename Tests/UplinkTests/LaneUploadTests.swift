import ObjectStore
import Testing
import WriteAheadLog

@testable import Uplink

/// Transcripts of the upload machine: told this, it answers that.
@Suite("Lane upload")
struct LaneUploadTests {
    let random = SeededRandom(seed: 1)
    let settings = LaneUploadSettings(
        flushInterval: .seconds(1),
        sizing: ObjectSizing.Limits(
            bytesMin: 100, liveBytesMax: 1000, backlogBytesMax: 4000, assumedBytesPerSecond: 1000),
        retry: RetryPolicy(base: .seconds(1), cap: .seconds(60)))
    let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 9)

    /// A machine that has found its log empty.
    func idle() -> LaneUpload {
        var upload = LaneUpload(settings: settings, upload: UploadState())
        #expect(upload.timer(now: .zero) == .gather(from: 1, logBytesMax: 4000))
        #expect(upload.gathered(lastLSN: nil, isFull: false, now: .zero) == .awaitData)
        return upload
    }

    /// A machine whose first object is being put.
    func putting() -> LaneUpload {
        var upload = idle()
        #expect(upload.durable(throughLSN: 9, bytes: 5000, now: .seconds(5)) == .gather(from: 1, logBytesMax: 1000))
        #expect(upload.gathered(lastLSN: 9, isFull: false, now: .seconds(5)) == .recordPlan(plan))
        #expect(upload.planRecorded() == .put(plan, attempt: 1))
        return upload
    }

    @Test("data becomes an object: gathered, planned, put, recorded, and then there is rest")
    func wholeRound() {
        var upload = idle()
        #expect(
            upload.durable(throughLSN: 9, bytes: 500, now: .seconds(5))
                == .awaitMore(until: .milliseconds(5100), bytes: 500))
        #expect(upload.timer(now: .milliseconds(5050)) == .awaitMore(until: .milliseconds(5100), bytes: 500))
        #expect(upload.timer(now: .milliseconds(5100)) == .gather(from: 1, logBytesMax: 1000))
        #expect(upload.gathered(lastLSN: 9, isFull: false, now: .milliseconds(5100)) == .recordPlan(plan))
        #expect(upload.planRecorded() == .put(plan, attempt: 1))
        #expect(upload.putSucceeded(objectBytes: 400, logBytes: 500, took: .seconds(1)) == .recordUploaded(plan))
        #expect(upload.currentPlan == plan)
        #expect(upload.uploadRecorded(now: .seconds(6)) == .awaitData)
        #expect(upload.currentPlan == nil)
        #expect(upload.isDrained(durableLSN: 9))
    }

    @Test("objects are an interval apart, and a full one does not wait")
    func intervals() {
        var upload = putting()
        #expect(upload.durable(throughLSN: 12, bytes: 5100, now: .milliseconds(5200)) == nil)
        _ = upload.putSucceeded(objectBytes: 400, logBytes: 500, took: .milliseconds(200))
        #expect(upload.uploadRecorded(now: .milliseconds(5300)) == .awaitMore(until: .seconds(6), bytes: 900))
        #expect(
            upload.durable(throughLSN: 13, bytes: 5200, now: .milliseconds(5400))
                == .awaitMore(until: .seconds(6), bytes: 800))
        #expect(
            upload.durable(throughLSN: 30, bytes: 6000, now: .milliseconds(5500))
                == .gather(from: 10, logBytesMax: 1000))
        #expect(!upload.isDrained(durableLSN: 30))
    }

    @Test("a full object is followed by the next at once, and backlog objects are larger")
    func backlog() {
        var upload = idle()
        _ = upload.durable(throughLSN: 99, bytes: 90_000, now: .seconds(5))
        _ = upload.gathered(lastLSN: 9, isFull: true, now: .seconds(5))
        #expect(upload.isBacklog)
        _ = upload.planRecorded()
        _ = upload.putSucceeded(objectBytes: 1000, logBytes: 1000, took: .seconds(1))
        #expect(upload.uploadRecorded(now: .seconds(6)) == .gather(from: 10, logBytesMax: 4000))
        #expect(
            upload.gathered(lastLSN: 99, isFull: false, now: .seconds(6))
                == .recordPlan(UploadPlan(sequence: 2, firstLSN: 10, lastLSN: 99)))
        #expect(!upload.isBacklog)
    }

    @Test("control frames alone make no object")
    func controlFramesOnly() {
        var upload = putting()
        _ = upload.putSucceeded(objectBytes: 400, logBytes: 500, took: .seconds(1))
        #expect(upload.durable(throughLSN: 11, bytes: 5000, now: .milliseconds(5200)) == nil)
        #expect(upload.uploadRecorded(now: .milliseconds(5300)) == .awaitMore(until: .seconds(6), bytes: 1000))
        #expect(upload.timer(now: .seconds(6)) == .gather(from: 10, logBytesMax: 1000))
        #expect(upload.gathered(lastLSN: nil, isFull: false, now: .seconds(6)) == .awaitData)
        #expect(upload.durable(throughLSN: 11, bytes: 5000, now: .seconds(7)) == .awaitData)
    }

    @Test("killed before the plan was durable: it is made anew")
    func killedBeforePlan() {
        var upload = LaneUpload(settings: settings, upload: UploadState())
        #expect(upload.timer(now: .zero) == .gather(from: 1, logBytesMax: 4000))
        #expect(
            upload.gathered(lastLSN: 11, isFull: false, now: .zero)
                == .recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 11)))
    }

    @Test("killed after the plan, during or after the PUT: the same plan is put again, then the next range follows")
    func killedAfterPlan() {
        let state = UploadState(nextSequence: 2, uploadedThrough: 0, openPlans: [plan])
        var random = random
        var upload = LaneUpload(settings: settings, upload: state)
        #expect(upload.currentPlan == plan)
        // What a log shows after a restart may not be durable yet; it is once it has taken the plan again.
        #expect(upload.durable(throughLSN: 40, bytes: 0, now: .zero) == .recordPlan(plan))
        #expect(upload.planRecorded() == .put(plan, attempt: 1))
        #expect(upload.putExisted() == .compare(plan))
        #expect(upload.compared(.same, now: .zero, using: &random) == .recordUploaded(plan))
        #expect(upload.uploadRecorded(now: .seconds(1)) == .gather(from: 10, logBytesMax: 4000))
        #expect(
            upload.gathered(lastLSN: 40, isFull: false, now: .seconds(1))
                == .recordPlan(UploadPlan(sequence: 2, firstLSN: 10, lastLSN: 40)))
    }

    @Test("killed after the upload was recorded: the next range under the next sequence")
    func killedAfterRecord() {
        var upload = LaneUpload(settings: settings, upload: UploadState(nextSequence: 8, uploadedThrough: 90))
        #expect(upload.timer(now: .zero) == .gather(from: 91, logBytesMax: 4000))
        #expect(
            upload.gathered(lastLSN: 95, isFull: false, now: .zero)
                == .recordPlan(UploadPlan(sequence: 8, firstLSN: 91, lastLSN: 95)))
    }

    @Test("several open plans are put in order before anything new")
    func severalOpenPlans() {
        let second = UploadPlan(sequence: 2, firstLSN: 10, lastLSN: 20)
        let state = UploadState(nextSequence: 3, uploadedThrough: 0, openPlans: [plan, second])
        var upload = LaneUpload(settings: settings, upload: state)
        #expect(upload.timer(now: .zero) == .recordPlan(plan))
        #expect(upload.planRecorded() == .put(plan, attempt: 1))
        _ = upload.putSucceeded(objectBytes: 10, logBytes: 10, took: .seconds(1))
        #expect(upload.uploadRecorded(now: .zero) == .recordPlan(second))
        #expect(upload.planRecorded() == .put(second, attempt: 1))
        _ = upload.putSucceeded(objectBytes: 10, logBytes: 10, took: .seconds(1))
        #expect(upload.uploadRecorded(now: .zero) == .gather(from: 21, logBytesMax: 4000))
    }

    @Test("a failed PUT rests with full jitter and repeats the same plan")
    func putFails() {
        var upload = putting()
        var random = random
        let failure = UploadFailure(.transient(retryAfter: nil), message: "put: unavailable")
        guard case .rest(let until) = upload.failed(failure, now: .seconds(10), using: &random) else {
            Issue.record("no rest")
            return
        }
        #expect(until >= .seconds(10) && until <= .seconds(11))
        #expect(upload.durable(throughLSN: 500, bytes: 900_000, now: .seconds(10)) == nil)
        #expect(upload.timer(now: until - .nanoseconds(1)) == .rest(until: until))
        #expect(upload.timer(now: until) == .put(plan, attempt: 2))
        #expect(upload.putSucceeded(objectBytes: 1, logBytes: 1, took: .seconds(1)) == .recordUploaded(plan))
        #expect(upload.failures == 0)
    }

    @Test("Retry-After is obeyed, but nobody can send the lane away for longer than ten minutes and the cap")
    func retryAfter() {
        var random = random
        for (asked, least, most) in [(30, 30, 31), (999_999, 600, 601)] {
            var upload = putting()
            let failure = UploadFailure(.transient(retryAfter: .seconds(asked)), message: "put: throttled")
            guard case .rest(let until) = upload.failed(failure, now: .zero, using: &random) else { continue }
            #expect(until >= .seconds(least) && until <= .seconds(most))
        }
    }

    @Test(
        "after a hundred failures the pause is at most the cap, and never the same twice (fleet PR 53357: jitter lost at the cap)"
    )
    func jitterAtTheCap() {
        var upload = putting()
        var random = random
        var pauses: Set<Duration> = []
        for attempt in 1...200 {
            let failure = UploadFailure(.transient(retryAfter: nil), message: "put: unavailable")
            guard case .rest(let until) = upload.failed(failure, now: .zero, using: &random) else { return }
            if attempt > 100 { pauses.insert(until) }
            #expect(until <= .seconds(60))
            #expect(upload.timer(now: until) == .put(plan, attempt: attempt + 1))
        }
        #expect(pauses.count == 100)
        #expect((pauses.max() ?? .zero) - (pauses.min() ?? .zero) > .seconds(30))
    }

    @Test("a permanent failure is retried too, but not before the cap")
    func permanentFailure() {
        var upload = putting()
        var random = random
        guard
            case .rest(let until) = upload.failed(
                UploadFailure(.permanent, message: "put: denied"), now: .zero, using: &random)
        else { return }
        #expect(until >= .seconds(60) && until <= .seconds(120))
        #expect(upload.timer(now: until) == .put(plan, attempt: 2))
    }

    @Test("a foreign object parks the lane; when it has been taken away the same plan goes on")
    func foreignObject() {
        var upload = putting()
        var random = random
        #expect(upload.putExisted() == .compare(plan))
        guard case .rest(let until) = upload.compared(.foreign("other site"), now: .zero, using: &random) else {
            return
        }
        #expect(until >= .seconds(60))
        #expect(upload.timer(now: until) == .put(plan, attempt: 2))
        #expect(upload.putSucceeded(objectBytes: 1, logBytes: 1, took: .seconds(1)) == .recordUploaded(plan))
    }

    @Test("the torn beginning of our own object is replaced; if that fails, the create-only PUT is next")
    func tornObject() {
        var upload = putting()
        var random = random
        #expect(upload.putExisted() == .compare(plan))
        #expect(upload.compared(.torn("0 bytes"), now: .zero, using: &random) == .replace(plan))
        guard
            case .rest(let until) = upload.failed(
                UploadFailure(.timeout, message: "put"), now: .zero, using: &random)
        else {
            Issue.record("no rest")
            return
        }
        #expect(upload.timer(now: until) == .put(plan, attempt: 2))
        #expect(upload.putExisted() == .compare(plan))
        #expect(upload.compared(.torn("9 bytes"), now: .zero, using: &random) == .replace(plan))
        #expect(upload.putSucceeded(objectBytes: 1, logBytes: 1, took: .seconds(1)) == .recordUploaded(plan))
    }

    @Test("a comparison that fails, or finds nothing, begins again with the PUT", arguments: [true, false])
    func comparisonFails(isAbsent: Bool) {
        var upload = putting()
        var random = random
        _ = upload.putExisted()
        let next =
            isAbsent
            ? upload.compared(.absent, now: .zero, using: &random)
            : upload.failed(UploadFailure(.timeout, message: "head"), now: .zero, using: &random)
        guard case .rest(let until) = next else {
            Issue.record("no rest: \(next)")
            return
        }
        #expect(upload.timer(now: until) == .put(plan, attempt: 2))
    }

    @Test("every other step that fails is repeated as it was")
    func otherStepsFail() {
        var random = random
        let failure = UploadFailure(.transient(retryAfter: nil), message: "log")
        var upload = idle()
        _ = upload.durable(throughLSN: 9, bytes: 5000, now: .seconds(5))
        _ = upload.failed(failure, now: .seconds(5), using: &random)
        #expect(upload.timer(now: .seconds(99)) == .gather(from: 1, logBytesMax: 1000))
        #expect(upload.gathered(lastLSN: 9, isFull: false, now: .seconds(99)) == .recordPlan(plan))
        _ = upload.failed(failure, now: .seconds(99), using: &random)
        #expect(upload.timer(now: .seconds(199)) == .recordPlan(plan))
        #expect(upload.planRecorded() == .put(plan, attempt: 1))
        _ = upload.putSucceeded(objectBytes: 1, logBytes: 1, took: .seconds(1))
        _ = upload.failed(failure, now: .seconds(199), using: &random)
        #expect(upload.timer(now: .seconds(299)) == .recordUploaded(plan))
        #expect(upload.uploadRecorded(now: .seconds(299)) == .awaitData)
    }

    @Test("a flush skips the interval")
    func flush() {
        var upload = idle()
        _ = upload.durable(throughLSN: 9, bytes: 10, now: .seconds(5))
        #expect(upload.flush(now: .seconds(5)) == .gather(from: 1, logBytesMax: 1000))
        #expect(!upload.isDrained(durableLSN: 9))
    }

    @Test("a timed-out PUT makes the next object smaller")
    func timeoutShrinks() {
        var upload = putting()
        var random = random
        _ = upload.failed(UploadFailure(.timeout, message: "put"), now: .zero, using: &random)
        #expect(upload.sizing.bytesPerSecond == 1024)
        #expect(upload.sizing.logBytesMax(isBacklog: true) == 4000)
    }
}
