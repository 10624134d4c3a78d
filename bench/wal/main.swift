// Figures of the log alone, one line of JSON per run.
//
//   wal-bench offered DIRECTORY MB_PER_S SECONDS   64 KiB units at that rate: latency from arrival to durable, CPU
//   wal-bench full DIRECTORY SECONDS [SEGMENT_MIB]  groups of 1 MiB as fast as they go
//   wal-bench sealed DIRECTORY SECONDS [PAIRS]     the same with and without encryption, in turn, and what it costs
//   wal-bench fill DIRECTORY GIB                   leaves a backlog behind
//   wal-bench start DIRECTORY                      time and memory until a lane accepts
import Glibc
import KafkaProtocol
import NIOCore
import Sealing
import Synchronization
import WriteAheadLog

func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// CPU of the process, or of the calling thread alone: the load generator's share.
func cpuSeconds(thisThread: Bool = false) -> Double {
    var usage = rusage()
    getrusage(thisThread ? 1 : __rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// Resident memory in MiB, from /proc.
func residentMiB() -> Double {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var total = 0
    var resident = 0
    _ = withUnsafeMutablePointer(to: &total) { total in
        withUnsafeMutablePointer(to: &resident) { resident in
            withVaList([total, resident]) { vfscanf(file, "%ld %ld", $0) }
        }
    }
    return Double(resident) * 4096 / 1_048_576
}

func makeEntry(bytes: Int, topic: String) throws -> LogEntry {
    var builder = RecordBatchBuilder()
    var value = ByteBuffer()
    for number in 0..<bytes { value.writeInteger(UInt8(truncatingIfNeeded: number &* 31 >> 3)) }
    builder.append(timestampMs: 1_700_000_000_000, value: value)
    let batch = builder.finish()
    return LogEntry(
        topic: topic, partition: 0, batch: batch, header: try RecordBatch.validateOne(batch),
        wallMs: 1_700_000_000_000, monotonicNs: now(), clockQuality: .unknown)
}

/// Counts and latencies, filled by completions on the writer's thread.
final class Figures: Sendable {
    struct State {
        var latencies: [UInt64] = []
        var bytes = 0
        var failures = 0
        var isMeasuring = false
    }
    let state = Mutex(State())

    func note(_ outcomes: [AppendOutcome], arrivedNs: UInt64, bytes: Int) {
        let taken = now() - arrivedNs
        state.withLock { state in
            for case .rejected in outcomes { state.failures += 1 }
            guard state.isMeasuring else { return }
            state.latencies.append(taken)
            state.bytes += bytes
        }
    }
}

/// Frees segments as an uplink would, so that they are recycled.
func upload(_ log: LaneLog, every bytes: Int) -> Task<Void, Never> {
    Task.detached {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(100))
            let state = log.uploadState
            guard log.durableLSN >= state.nextPlanLSN else { continue }
            let plan = UploadPlan(sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: log.durableLSN)
            try? await log.recordPlan(plan)
            try? await log.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        }
    }
}

func percentile(_ sorted: [UInt64], _ part: Double) -> Double {
    sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1e6
}

func report(_ name: String, _ figures: Figures, seconds: Double, cpu: Double, loadCPU: Double = 0, log: LaneLog) {
    let (latencies, bytes, failures) = figures.state.withLock { ($0.latencies.sorted(), $0.bytes, $0.failures) }
    let rate = Double(bytes) / 1e6 / seconds
    print(
        """
        {"run":"\(name)","mb_per_s":\(rate),"p50_ms":\(percentile(latencies, 0.5)),"p99_ms":\(percentile(latencies, 0.99)),\
        "max_ms":\(percentile(latencies, 1)),"cpu_s_per_gb":\(cpu / (Double(bytes) / 1e9)),"load_cpu_s_per_gb":\(loadCPU / (Double(bytes) / 1e9)),\
        "failures":\(failures),\
        "groups":\(log.status.groups),"rss_mib":\(residentMiB()),"engine":"\(log.status.engine)"}
        """)
}

func offered(_ directory: String, megabytesPerSecond: Double, seconds: Double) throws {
    let configuration = LaneConfiguration(
        name: "bench", directory: directory, quotaBytes: 8 << 30, spareSegmentsMax: 16)
    let (log, _) = try LaneLog.open(configuration)
    let uploads = upload(log, every: 64 << 20)
    let figures = Figures()
    let entry = try makeEntry(bytes: 64 << 10, topic: "bench")
    let bytes = entry.batch.readableBytes
    let intervalNs = Double(bytes) / (megabytesPerSecond * 1e6) * 1e9
    let warmUpNs: UInt64 = 3_000_000_000
    let startNs = now()
    let endNs = startNs + warmUpNs + UInt64(seconds * 1e9)
    var cpu = 0.0
    var loadCPU = 0.0
    var sent = 0.0
    while true {
        let time = now()
        if time >= endNs { break }
        if cpu == 0, time >= startNs + warmUpNs {
            cpu = cpuSeconds()
            loadCPU = cpuSeconds(thisThread: true)
            figures.state.withLock { $0.isMeasuring = true }
        }
        while Double(time - startNs) >= sent * intervalNs {
            let arrived = startNs + UInt64(sent * intervalNs)
            log.append([entry]) { figures.note($0, arrivedNs: arrived, bytes: bytes) }
            sent += 1
        }
        usleep(100)
    }
    figures.state.withLock { $0.isMeasuring = false }
    report(
        "offered", figures, seconds: seconds, cpu: cpuSeconds() - cpu,
        loadCPU: cpuSeconds(thisThread: true) - loadCPU, log: log)
    uploads.cancel()
    log.close()
}

/// What a run at full speed came to.
struct Speed {
    var megabytesPerSecond: Double
    var cpuSecondsPerGB: Double
}

@discardableResult
func full(
    _ directory: String, seconds: Double, segmentBytes: Int, sealing: LogSealing? = nil
) throws -> Speed {
    let configuration = LaneConfiguration(
        name: "bench", directory: directory, segmentSizeBytes: segmentBytes, quotaBytes: 8 << 30, commitWindow: .zero,
        groupBytesMax: (1 << 20) + 4096,
        spareSegmentsMax: 16)
    let (log, _) = try LaneLog.open(configuration, sealing: sealing)
    let uploads = upload(log, every: 64 << 20)
    let figures = Figures()
    let entry = try makeEntry(bytes: 64 << 10, topic: "bench")
    let group = [LogEntry](repeating: entry, count: 15)
    let bytes = group.reduce(0) { $0 + $1.batch.readableBytes }
    final class Pump: Sendable {
        let send: @Sendable (Pump) -> Void
        init(_ send: @escaping @Sendable (Pump) -> Void) { self.send = send }
    }
    let stop = Stop()
    let pump = Pump { pump in
        let arrived = now()
        log.append(group) { outcomes in
            figures.note(outcomes, arrivedNs: arrived, bytes: bytes)
            if !stop.isSet.load(ordering: .relaxed) { pump.send(pump) }
        }
    }
    for _ in 0..<3 { pump.send(pump) }
    usleep(700_000)
    let cpu = cpuSeconds()
    let start = now()
    figures.state.withLock { $0.isMeasuring = true }
    usleep(UInt32(seconds * 1e6))
    figures.state.withLock { $0.isMeasuring = false }
    let (measured, used) = (Double(now() - start) / 1e9, cpuSeconds() - cpu)
    report(sealing == nil ? "full" : "sealed", figures, seconds: measured, cpu: used, log: log)
    stop.isSet.store(true, ordering: .relaxed)
    uploads.cancel()
    log.close()
    let written = Double(figures.state.withLock { $0.bytes })
    return Speed(megabytesPerSecond: written / 1e6 / measured, cpuSecondsPerGB: used / (written / 1e9))
}

/// Pairs of runs, plain and sealed in turn, so that a disk or a neighbour that changes its mind meets both.
func sealed(_ directory: String, seconds: Double, pairs: Int) throws {
    guard let key = KeyRing.Key.random(), let ring = KeyRing([key]) else { return }
    let sealing = LogSealing(ring: { ring })
    var runs: (plain: [Speed], sealed: [Speed]) = ([], [])
    for pair in 0..<pairs {
        for isSealed in pair % 2 == 0 ? [false, true] : [true, false] {
            let place = directory + (isSealed ? "/sealed" : "/plain")
            let speed = try full(place, seconds: seconds, segmentBytes: 64 << 20, sealing: isSealed ? sealing : nil)
            if isSealed { runs.sealed.append(speed) } else { runs.plain.append(speed) }
        }
    }
    func ratio(_ figure: (Speed) -> Double) -> Double {
        func median(_ runs: [Speed]) -> Double { runs.map(figure).sorted()[runs.count / 2] }
        return median(runs.sealed) / median(runs.plain)
    }
    print(
        """
        {"run":"sealed against plain","pairs":\(pairs),"mb_per_s_ratio":\(ratio { $0.megabytesPerSecond }),\
        "cpu_s_per_gb_ratio":\(ratio { $0.cpuSecondsPerGB })}
        """)
}

final class Stop: Sendable {
    let isSet = Atomic(false)
}

func fill(_ directory: String, gibibytes: Int) throws {
    let configuration = LaneConfiguration(name: "bench", directory: directory, quotaBytes: (gibibytes + 1) << 30)
    let (log, _) = try LaneLog.open(configuration)
    let entry = try makeEntry(bytes: 64 << 10, topic: "bench")
    let group = [LogEntry](repeating: entry, count: 120)
    let turn = Turn()
    for _ in 0..<gibibytes << 30 / (120 * entry.batch.readableBytes) {
        log.append(group) { _ in turn.pass() }
        turn.wait()
    }
    print("{\"run\":\"fill\",\"durable_lsn\":\(log.durableLSN),\"disk_bytes\":\(log.status.diskBytes)}")
    log.close()
}

/// One thread waits for another, many times.
final class Turn: @unchecked Sendable {  // sem_t is made to be shared.
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    func pass() { sem_post(semaphore) }
    func wait() { while sem_wait(semaphore) != 0 {} }
}

func start(_ directory: String) throws {
    let began = now()
    let (log, found) = try LaneLog.open(
        LaneConfiguration(name: "bench", directory: directory, quotaBytes: 64 << 30))
    let turn = Turn()
    log.append([try makeEntry(bytes: 1000, topic: "start")]) { _ in turn.pass() }
    turn.wait()
    let accepting = Double(now() - began) / 1e6
    let atStart = residentMiB()
    var highest = atStart
    let scanBegan = now()
    while log.indexedLSN < log.durableLSN, now() - scanBegan < 60_000_000_000 {
        usleep(1000)
        highest = max(highest, residentMiB())
    }
    print(
        """
        {"run":"start","accepting_ms":\(accepting),"rss_mib":\(atStart),"highest_rss_mib":\(highest),\
        "indexed_after_ms":\(Double(now() - began) / 1e6),"scanned_bytes":\(found.scannedBytes),"index":"\(found.index)"}
        """)
    log.close()
}

let arguments = CommandLine.arguments
func number(_ place: Int, _ otherwise: Double) -> Double {
    arguments.count > place ? Double(arguments[place]) ?? otherwise : otherwise
}
guard arguments.count >= 3 else {
    print("wal-bench offered|full|sealed|fill|start DIRECTORY [figures]")
    exit(2)
}
do {
    switch arguments[1] {
    case "offered": try offered(arguments[2], megabytesPerSecond: number(3, 600), seconds: number(4, 5))
    case "full": try full(arguments[2], seconds: number(3, 5), segmentBytes: Int(number(4, 64)) << 20)
    case "sealed": try sealed(arguments[2], seconds: number(3, 2), pairs: max(1, Int(number(4, 9))))
    case "fill": try fill(arguments[2], gibibytes: Int(number(3, 4)))
    case "start": try start(arguments[2])
    default: exit(2)
    }
} catch {
    print("failed: \(error)")
    exit(1)
}
