import KafkaListener
import KafkaProtocol
import NIOCore
import NIOPosix

/// One Fetch that may have to wait: reads when there are records, answers when there are enough or the time is up.
///
/// Costs one entry in ``PartitionWatchers`` and one in the ``LoopTimer`` of its event loop while it waits, no thread and no scheduled task. Reads run on the pool, inside
/// the byte budget that all fetches share; the bytes are given back when the response has left.
final class FetchPoll: @unchecked Sendable {  // Everything below is touched on the connection's event loop only.
    private let plan: FetchPlan
    private let header: RequestHeader
    private let services: EdgeServices
    private let connection: EdgeConnection
    private let eventLoop: any EventLoop
    let promise: EventLoopPromise<KafkaResponse?>

    private var token: PartitionWatchers.Token?
    private var timer: LoopTimer.Token?
    private var isReading = false
    private var wasWoken = false
    private var timeIsUp: Bool
    private var isOver = false

    init(
        plan: FetchPlan, header: RequestHeader, services: EdgeServices, connection: EdgeConnection,
        eventLoop: any EventLoop
    ) {
        self.plan = plan
        self.header = header
        self.services = services
        self.connection = connection
        self.eventLoop = eventLoop
        self.promise = eventLoop.makePromise(of: KafkaResponse?.self)
        self.timeIsUp = plan.waitMs == 0 || plan.bytesMin == 0
    }

    func start() {
        if !timeIsUp {
            timer = connection.timer.schedule(eventLoop.now + .milliseconds(plan.waitMs)) {
                self.timer = nil
                self.timeIsUp = true
                self.look()
            }
        }
        look()
    }

    /// The client has gone.
    func cancel() {
        guard !isOver else { return }
        end()
        promise.succeed(nil)
    }

    private func woken() {
        token = nil
        wasWoken = true
        look()
    }

    private func look() {
        guard !isOver, !isReading else { return }
        wasWoken = false
        // Watch first, look second: what becomes durable between the two wakes us.
        if token == nil, !timeIsUp {
            token = services.watchers.watch(plan.watched) { [connection] in connection.mailbox.post { self.woken() } }
        }
        if plan.hasNews || timeIsUp { reserve() }
    }

    private func reserve() {
        isReading = true
        // The first batch is returned whatever the limit, so there must be room for one.
        let wanted = max(plan.bytesMax, services.configuration.batchBytesMax)
        let bytes = min(wanted, services.fetchBudget.limitBytes)
        let isNow = services.fetchBudget.reserve(bytes) { self.eventLoop.execute { self.read(reserved: bytes) } }
        if isNow { read(reserved: bytes) }
    }

    private func read(reserved: Int) {
        guard !isOver else { return services.fetchBudget.release(reserved) }
        let plan = plan
        services.pool.runIfActive(eventLoop: eventLoop) { plan.read() }.whenComplete { result in
            self.isReading = false
            guard !self.isOver, case .success(let result) = result else {
                self.services.fetchBudget.release(reserved)
                return self.cancel()
            }
            self.finished(result, reserved: reserved)
        }
    }

    private func finished(_ result: FetchResult, reserved: Int) {
        guard result.hasError || result.bytes >= plan.bytesMin || timeIsUp else {
            services.fetchBudget.release(reserved)
            if wasWoken { look() }
            return
        }
        let kept = min(result.bytes, reserved)
        let budget = services.fetchBudget
        budget.release(reserved - kept)
        end()
        var response = FetchResponse()
        response.topics = result.topics
        do {
            promise.succeed(try KafkaResponse(response, for: header) { budget.release(kept) })
        } catch {
            budget.release(kept)
            promise.fail(error)
        }
    }

    private func end() {
        isOver = true
        if let timer { connection.timer.cancel(timer) }
        if let token { services.watchers.cancel(token) }
        token = nil
        connection.ended(self)
    }
}
