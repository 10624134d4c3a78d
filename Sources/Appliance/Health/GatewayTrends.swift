import Edge
import Glibc
import Uplink
import WriteAheadLog

/// Remembers a minute of a gateway's counters, so that a report can tell rates, and how long a backlog will last.
struct GatewayTrends: Sendable {
    private struct Sample {
        var atNs: UInt64
        var bytes: [String: (taken: UInt64, backlog: Int)]
    }

    private static let windowNs: UInt64 = 60_000_000_000
    private static let samplesMax = 16
    private var samples: [Sample] = []

    struct Rates: Sendable, Equatable {
        var inBytesPerSecond = 0.0
        var outBytesPerSecond = 0.0
        /// Nil while the backlog does not shrink.
        var etaSeconds: Int?
    }

    /// - Parameter lanes: bytes made durable since the start, and bytes not in the store yet.
    mutating func note(_ lanes: [String: (taken: UInt64, backlog: Int)], nowNs: UInt64) {
        if let last = samples.last, nowNs - last.atNs < Self.windowNs / UInt64(Self.samplesMax) { return }
        samples.append(Sample(atNs: nowNs, bytes: lanes))
        while samples.count > 2, nowNs - samples[0].atNs > Self.windowNs { samples.removeFirst() }
    }

    func rates(of lane: String, taken: UInt64, backlog: Int, nowNs: UInt64) -> Rates {
        guard let first = samples.first(where: { $0.bytes[lane] != nil }), let then = first.bytes[lane],
            nowNs > first.atNs, taken >= then.taken
        else { return Rates() }
        let seconds = Double(nowNs - first.atNs) / 1e9
        let came = Double(taken - then.taken)
        // What came and is not there any more has gone out.
        let went = max(0, came - Double(backlog - then.backlog))
        var rates = Rates(inBytesPerSecond: came / seconds, outBytesPerSecond: went / seconds)
        let shrinking = rates.outBytesPerSecond - rates.inBytesPerSecond
        if backlog == 0 {
            rates.etaSeconds = 0
        } else if shrinking > 1 {
            rates.etaSeconds = Int(clamping: Int64(min(Double(backlog) / shrinking, 1e12)))
        }
        return rates
    }
}
