public import KafkaProtocol
public import NIOCore
import Synchronization

/// The coordinator with the world around it: requests come from any event loop, answers go to promises, and one
/// scheduled task stands for every timer of every group.
public final class GroupService: Sendable {
    private enum Waiter {
        case join(EventLoopPromise<JoinAnswer>)
        case sync(EventLoopPromise<SyncAnswer>)
    }

    private struct State {
        var coordinator: GroupCoordinator
        var waiters: [GroupToken: Waiter] = [:]
        var lastToken: GroupToken = 0
        var timer: Scheduled<Void>?
        var timerDeadline = NIODeadline.distantFuture
        var isStopped = false
    }

    private let state: Mutex<State>
    private let timerLoop: any EventLoop

    /// - Parameter timerLoop: its clock is the time of the groups.
    public init(configuration: GroupConfiguration, timerLoop: any EventLoop) {
        self.state = Mutex(State(coordinator: GroupCoordinator(configuration: configuration)))
        self.timerLoop = timerLoop
    }

    func join(_ join: GroupJoin, on loop: any EventLoop) -> EventLoopFuture<JoinAnswer> {
        let promise = loop.makePromise(of: JoinAnswer.self)
        run { state, now in
            guard !state.isStopped else {
                promise.succeed(JoinAnswer(error: .notCoordinator))
                return []
            }
            let token = Self.park(.join(promise), in: &state)
            return state.coordinator.join(join, token: token, now: now)
        }
        return promise.futureResult
    }

    func sync(_ sync: GroupSync, on loop: any EventLoop) -> EventLoopFuture<SyncAnswer> {
        let promise = loop.makePromise(of: SyncAnswer.self)
        run { state, now in
            guard !state.isStopped else {
                promise.succeed(SyncAnswer(error: .notCoordinator))
                return []
            }
            let token = Self.park(.sync(promise), in: &state)
            return state.coordinator.sync(sync, token: token, now: now)
        }
        return promise.futureResult
    }

    func heartbeat(group: String, memberID: String, instanceID: String?, generation: Int32) -> ErrorCode {
        let now = timerLoop.now
        return state.withLock {
            $0.coordinator.heartbeat(
                group: group, memberID: memberID, instanceID: instanceID, generation: generation, now: now)
        }
    }

    public func leave(group: String, _ members: [GroupLeave]) -> (error: ErrorCode, errors: [ErrorCode]) {
        var answer: (error: ErrorCode, errors: [ErrorCode]) = (.none, [])
        run { state, now in
            let result = state.coordinator.leave(group: group, members, now: now)
            answer = (result.error, result.errors)
            return result.actions
        }
        return answer
    }

    /// Whether these offsets may be committed: `.none`, or what the client is told.
    /// - Parameters:
    ///   - isKnown: the store has offsets of the group.
    ///   - missing: the code for a commit by a member of a group that does not exist.
    public func checkCommit(
        group: String, memberID: String, instanceID: String?, generation: Int32, isKnown: Bool, missing: ErrorCode
    ) -> ErrorCode {
        let now = timerLoop.now
        return state.withLock {
            $0.coordinator.checkCommit(
                group: group, memberID: memberID, instanceID: instanceID, generation: generation, isKnown: isKnown,
                missing: missing, now: now)
        }
    }

    func forgetIfEmpty(_ group: String) -> Bool { state.withLock { $0.coordinator.forgetIfEmpty(group) } }
    /// Nil for a group that nobody has joined.
    func use(of group: String) -> GroupUse? { state.withLock { $0.coordinator.use(of: group) } }
    func describe(_ group: String) -> GroupDescription? { state.withLock { $0.coordinator.describe(group) } }
    func summaries() -> [(group: String, state: GroupState, protocolType: String)] {
        state.withLock { $0.coordinator.summaries() }
    }
    public var counts: (groups: Int, members: Int, bytes: Int) {
        state.withLock { ($0.coordinator.groupCount, $0.coordinator.memberCount, $0.coordinator.sizeBytes) }
    }

    /// Ends the timer and answers everything that is parked, so that clients look for the coordinator again.
    public func stop() {
        let waiters = state.withLock { state in
            state.isStopped = true
            state.timer?.cancel()
            state.timer = nil
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters {
            switch waiter {
            case .join(let promise): promise.succeed(JoinAnswer(error: .notCoordinator))
            case .sync(let promise): promise.succeed(SyncAnswer(error: .notCoordinator))
            }
        }
    }

    // MARK: Inside

    private static func park(_ waiter: Waiter, in state: inout State) -> GroupToken {
        state.lastToken += 1
        state.waiters[state.lastToken] = waiter
        return state.lastToken
    }

    /// Applies one event under the lock, then answers outside of it.
    private func run(_ event: (inout State, NIODeadline) -> [GroupAction]) {
        let now = timerLoop.now
        let answers = state.withLock { state in
            let actions = event(&state, now)
            schedule(&state)
            return actions.compactMap { action in Self.answer(action, in: &state) }
        }
        for answer in answers { answer() }
    }

    private static func answer(_ action: GroupAction, in state: inout State) -> (() -> Void)? {
        switch action {
        case .answerJoin(let token, let answer):
            guard case .join(let promise) = state.waiters.removeValue(forKey: token) else { return nil }
            return { promise.succeed(answer) }
        case .answerSync(let token, let answer):
            guard case .sync(let promise) = state.waiters.removeValue(forKey: token) else { return nil }
            return { promise.succeed(answer) }
        }
    }

    /// One task at the earliest deadline; an earlier one takes its place.
    private func schedule(_ state: inout State) {
        guard !state.isStopped, let next = state.coordinator.nextDeadline, next < state.timerDeadline else { return }
        state.timer?.cancel()
        state.timerDeadline = next
        state.timer = timerLoop.scheduleTask(deadline: next) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        run { state, now in
            state.timer = nil
            state.timerDeadline = .distantFuture
            return state.coordinator.timePassed(now: now)
        }
    }
}
