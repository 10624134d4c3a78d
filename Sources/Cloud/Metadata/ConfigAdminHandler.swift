import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore
import Synchronization

/// IncrementalAlterConfigs and AlterConfigs, for topics. A node's own settings come from its configuration file.
///
/// Alterations of this node go one after the other: each begins with what the one before it left.
final class ConfigAdminHandler: Sendable {
    private let ledger: Ledger
    private let alteration: ConfigAlteration
    private let world: CloudWorld
    private let last: Mutex<EventLoopFuture<Void>?> = Mutex(nil)

    init(ledger: Ledger, configs: TopicConfigs, world: CloudWorld) {
        self.ledger = ledger
        self.world = world
        alteration = ConfigAlteration(configs: configs)
    }

    private typealias Change = @Sendable ([String: String]) -> Result<[String: String], ConfigAlteration.Flaw>

    func alterIncrementally(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(IncrementalAlterConfigsRequest.self)
        let alteration = alteration
        let changes = asked.resources.map { resource -> (Int8, String, Change) in
            let steps = resource.configs.map {
                ConfigAlteration.Step(name: $0.name, operation: .init(rawValue: $0.operation), value: $0.value)
            }
            return (
                resource.type, resource.name,
                { present in
                    Result { () throws(ConfigAlteration.Flaw) in try alteration.apply(steps, to: present) }
                }
            )
        }
        return alter(changes, validatesOnly: asked.validatesOnly, request, loop)
    }

    func alter(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(AlterConfigsRequest.self)
        let alteration = alteration
        let changes = asked.resources.map { resource -> (Int8, String, Change) in
            let named = resource.configs.map { (name: $0.name, value: $0.value) }
            return (
                resource.type, resource.name,
                { _ in Result { () throws(ConfigAlteration.Flaw) in try alteration.replace(with: named) } }
            )
        }
        return alter(changes, validatesOnly: asked.validatesOnly, request, loop)
    }

    private func alter(
        _ changes: [(Int8, String, Change)], validatesOnly: Bool, _ request: KafkaRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        let done = loop.makePromise(of: Void.self)
        let before = last.withLock { last in
            defer { last = done.futureResult }
            return last
        }
        let turn = before?.hop(to: loop) ?? loop.makeSucceededVoidFuture()
        let names = changes.map { "\($0.0) \($0.1)" }
        let results = turn.flatMap { [self] in
            EventLoopFuture.whenAllSucceed(
                changes.map { type, name, change in
                    let isTwice = names.filter { $0 == "\(type) \(name)" }.count > 1
                    return alter(type, name, isTwice: isTwice, validatesOnly: validatesOnly, change, loop)
                }, on: loop)
        }
        results.whenComplete { _ in done.succeed() }
        return results.map { results in
            var response = AlterConfigsResponse()
            response.results = results
            return response
        }.answer(request)
    }

    private func alter(
        _ type: Int8, _ name: String, isTwice: Bool, validatesOnly: Bool, _ change: Change, _ loop: any EventLoop
    ) -> EventLoopFuture<AlterConfigsResponse.Result> {
        var answer = AlterConfigsResponse.Result()
        answer.resourceType = type
        answer.resourceName = name
        answer.errorMessage = nil
        func refuse(_ code: ErrorCode, _ message: String) -> EventLoopFuture<AlterConfigsResponse.Result> {
            answer.errorCode = code
            answer.errorMessage = message
            return loop.makeSucceededFuture(answer)
        }
        guard !isTwice else { return refuse(.invalidRequest, "The request names the resource twice.") }
        guard type == 2 else {
            return refuse(.invalidRequest, "Only topics can be altered; a node reads its settings when it starts.")
        }
        guard let facts = ledger.view.topic(named: name) else {
            return refuse(
                TopicName.isValid(name) ? .unknownTopicOrPartition : .invalidTopicException, "There is no such topic.")
        }
        let next: [String: String]
        switch change(facts.configs) {
        case .failure(let flaw): return refuse(flaw.code, flaw.message)
        case .success(let configs): next = configs
        }
        guard !validatesOnly else { return loop.makeSucceededFuture(answer) }
        let command = SetTopicConfigs(topic: .id(facts.id), configs: next, nowMs: world.wallMs())
        return ledger.submit(.setTopicConfigs(command), on: loop).map { [answer] result in
            var answer = answer
            if case .failure(let error) = result {
                answer.errorCode = error.errorCode
                answer.errorMessage = "\(error)"
            }
            return answer
        }
    }
}
