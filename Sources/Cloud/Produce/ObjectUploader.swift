import KafkaProtocol
import Ledger
import ObjectStore

/// Brings one object into the store and then into the ledger, each as often as it takes, until cancelled.
struct ObjectUploader: Sendable {
    let store: any ObjectStore
    let ledger: Ledger
    let world: CloudWorld
    /// Told of every attempt that failed.
    let putFailed: @Sendable () -> Void
    let commitFailed: @Sendable () -> Void

    /// Nil when the store has the object. Tries until cancelled.
    func put(key: String, body: ObjectBody) async -> ObjectStoreError? {
        let retry = RetryPolicy(base: .milliseconds(100), cap: .seconds(5))
        var random = WorldRandom(random: world.random)
        do throws(ObjectStoreError) {
            var mayBeOurs = false
            try await withRetry(retry, clock: world.clock, using: &random) {
                (attempt: Int) async throws(ObjectStoreError) in
                do throws(ObjectStoreError) {
                    guard case .alreadyExists = try await store.put(key, body, ifAbsent: true) else {
                        return
                    }
                } catch {
                    mayBeOurs = mayBeOurs || error.effectUnknown
                    putFailed()
                    throw error
                }
                try await checkOwn(key, body, mayBeOurs: mayBeOurs)
            }
            return nil
        } catch { return error }
    }

    /// The key was taken: by an earlier attempt whose answer was lost, or, once in a misconfigured blue moon, by another
    /// deployment that uses the same bucket. No node epoch is given twice, so equal bytes are ours.
    private func checkOwn(_ key: String, _ body: ObjectBody, mayBeOurs: Bool) async throws(ObjectStoreError) {
        let info = try await store.head(key)
        if info?.sizeBytes == body.sizeBytes {
            if mayBeOurs { return }
            if try await store.get(key, range: nil) == body.joined { return }
        } else if mayBeOurs, let info, info.sizeBytes < body.sizeBytes {
            // A store that keeps part of a PUT that broke off. Nobody knows the object yet: it is replaced.
            _ = try await store.put(key, body, ifAbsent: false)
            return
        }
        throw ObjectStoreError(
            .put, key: key, .invalid("another writer's object"),
            detail: "do two deployments share this bucket and prefix?")
    }

    /// One outcome per run of the command, which must be one that commits runs under its key.
    func commit(_ command: LedgerCommand) async -> Result<[RunOutcome], ErrorCode> {
        let retry = RetryPolicy(base: .milliseconds(20), cap: .seconds(1))
        var random = WorldRandom(random: world.random)
        var attempt = 1
        while true {
            do throws(LedgerError) {
                guard case .runs(let outcomes) = try await ledger.submit(command) else {
                    return .failure(.unknownServerError)
                }
                return .success(outcomes)
            } catch {
                commitFailed()
                guard error.isRetryable else { return .failure(error.errorCode) }
                if Task.isCancelled { return .failure(.requestTimedOut) }
                let pause = retry.delay(afterAttempt: attempt, using: &random)
                do { try await world.clock.sleep(for: pause) } catch { return .failure(.requestTimedOut) }
            }
            attempt += 1
        }
    }
}
