import Ledger
import Logging
import SharedObject

/// What site objects tell as missing, on its way into the ledger.
extension Adopter {
    func gaps(_ key: SiteObjectKey, _ footer: ObjectFooter) -> [SiteGap] {
        footer.gaps.map { gap in
            var noted = SiteGap(
                reason: gap.reason.rawValue, firstLSN: gap.firstLSN, lastLSN: gap.lastLSN,
                rest: SiteGapRest(
                    partitionCount: gap.rest.partitionCount,
                    totals: SiteGapTotals(
                        records: gap.rest.recordCount, batches: gap.rest.batchCount, bytes: gap.rest.sizeBytes)))
            for item in gap.items {
                // Names that the site must not use are only counted.
                if configuration.allows(site: key.site, topic: item.topic) {
                    noted.items.append(SiteGapItem(item, before: footer.run(behind: item)))
                } else {
                    noted.rest.partitionCount &+= 1
                    noted.rest.totals.records += item.recordCount
                    noted.rest.totals.batches += item.batchCount
                    noted.rest.totals.bytes += item.sizeBytes
                }
            }
            return noted
        }
    }

    func tellGaps(_ key: SiteObjectKey, _ footer: ObjectFooter) {
        for gap in footer.gaps {
            logger.warning(
                "a site has given up data",
                metadata: [
                    "site": "\(key.site)", "lane": "\(key.lane)", "records": "\(gap.recordCount)",
                    "LSNs": "\(gap.firstLSN)-\(gap.lastLSN)", "reason": "\(gap.reason)",
                ])
        }
    }
}

extension ObjectFooter {
    /// Index of the first run of the item's partition that begins after it.
    fileprivate func run(behind item: ObjectGap.Item) -> Int? {
        runs.firstIndex {
            $0.partition == item.partition && $0.firstLocalOffset > item.lastLocalOffset && $0.topic == item.topic
        }
    }
}

extension SiteGapItem {
    fileprivate init(_ item: ObjectGap.Item, before run: Int?) {
        self.init(
            topic: item.topic, partition: item.partition, firstLocalOffset: item.firstLocalOffset,
            lastLocalOffset: item.lastLocalOffset, recordCount: item.recordCount, batchCount: item.batchCount,
            sizeBytes: item.sizeBytes, firstWallMs: item.firstWallMs, lastWallMs: item.lastWallMs,
            nextRun: run.map(Int32.init) ?? -1)
    }
}
