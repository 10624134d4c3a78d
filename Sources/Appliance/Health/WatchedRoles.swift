import Foundation
import Logging
import NIOPosix

extension HealthWatch {
    /// Of a gateway; its state file lies in the runtime directory, else with the data.
    static func of(_ role: EdgeRole, _ health: EdgeHealth, logger: Logger) -> HealthWatch {
        let environment = ProcessInfo.processInfo.environment
        let watch = HealthWatch(
            Subject(
                isReady: { role.isAccepting }, facts: { health.facts() }, report: { health.report().json() }),
            notifier: ServiceNotifier(environment: environment),
            stateFile: StateFile.path(dataDirectory: role.settings.dataDirectory, environment: environment),
            logger: logger)
        health.include(watch)
        return watch
    }

    /// Of a cloud node: that its event loops run.
    static func of(_ role: CloudRole, logger: Logger) -> HealthWatch {
        let beats = LoopBeats(MultiThreadedEventLoopGroup.singleton)
        return HealthWatch(
            Subject(
                isReady: { role.isAccepting },
                facts: {
                    beats.ask()
                    return ProgressJudge.Facts(loopBeats: beats.lastBeats)
                }),
            notifier: ServiceNotifier(environment: ProcessInfo.processInfo.environment), stateFile: nil,
            logger: logger)
    }
}
