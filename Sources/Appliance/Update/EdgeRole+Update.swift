import Edge
import ObjectStore
import SiteAuthority
import Uplink
import WriteAheadLog

extension EdgeRole {
    func makeUpdater(_ uplink: UplinkRunner, _ store: OpenedStore) -> Updater {
        let gateway = gateway
        let updater = Updater(
            settings.update, dataDirectory: settings.dataDirectory,
            world: Updater.World(
                // Bundles are signed, not sealed: the store as it is.
                store: store, pacer: uplink.pacer, told: { [weak uplink] in uplink?.toldUpdate },
                isConfirmable: { [weak self] in self?.confirmation.isConfirmable ?? false },
                promisedBytes: {
                    gateway.status().lanes.reduce(0) { $0 + max(0, $1.log.quotaBytes - $1.log.diskBytes) }
                }),
            logger: updateLogger)
        uplink.report(updater)
        return updater
    }

    /// Whether an image that is on trial may be kept. May read a frame of each lane from the disk: not for event loops.
    var confirmation: Confirmation {
        let lanes = gateway.status().lanes.map(\.log)
        return Confirmation(
            Confirmation.Facts(
                isAccepting: isAccepting, commits: lanes.reduce(0) { $0 &+ $1.groups },
                pendingBytes: lanes.reduce(0) { $0 + $1.pendingBytes }, isStartCounted: isStartCounted,
                isUplinkOn: hasUplink, uploadedObjects: uploads.reduce(0) { $0 &+ $1.uploadedObjects },
                hasBacklog: gateway.lanes.contains { $0.log.backlog().oldestWallMs != nil },
                hasReachedCloud: hasReachedCloud))
    }
}
