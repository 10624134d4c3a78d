import KafkaProtocol
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Testing
import WriteAheadLog

@testable import Uplink

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Uplink over a real log")
struct LaneLogUplinkTests {
    @Test("what a lane has made durable arrives, across a restart of the process")
    func realLog() async throws {
        let directory = "/tmp/cairn-uplink-\(UInt64.random(in: .min ... .max))"
        try #require(mkdir(directory, 0o700) == 0)
        defer { removeTree(directory) }
        let store = MemoryStore()
        try await session(directory, store, batches: 0..<30)
        try await session(directory, store, batches: 30..<60)
        var values: [String] = []
        var nextLSN: UInt64 = 1
        for (_, object) in store.contents.sorted(by: { $0.key < $1.key }) {
            let footer = try ObjectReader.verify(object: object)
            #expect(footer.header.firstLSN == nextLSN)
            nextLSN = footer.header.lastLSN + 1
            for run in footer.runs {
                let bytes = try #require(object.getSlice(at: run.position, length: run.lengthBytes))
                var position = bytes.readerIndex
                for header in try ObjectReader.verify(run: run, bytes: bytes) {
                    let batch = try #require(bytes.getSlice(at: position, length: header.totalSizeBytes))
                    position += header.totalSizeBytes
                    values += try Batches.records(batch).map { String(buffer: $0.value ?? ByteBuffer()) }
                }
            }
        }
        #expect(values == (0..<60).map { "value \($0)" })
    }

    /// Opens the lane, appends, uploads all of it and closes.
    private func session(_ directory: String, _ store: MemoryStore, batches: Range<Int>) async throws {
        var configuration = LaneConfiguration(name: "standard", directory: directory, quotaBytes: 64 << 20)
        configuration.segmentSizeBytes = 1 << 20
        configuration.groupBytesMax = 64 << 10
        configuration.producersMax = 64
        configuration.partitionsMax = 64
        let (log, _) = try LaneLog.open(configuration)
        defer { log.close() }
        for index in batches {
            let batch = Batches.plain(["value \(index)"])
            let header = try RecordBatch.validateOne(batch)
            let outcomes = await log.append([
                LogEntry(
                    topic: "t", partition: 0, batch: batch, header: header, wallMs: Int64(index), monotonicNs: 0,
                    clockQuality: .gnss)
            ])
            guard case .appended = outcomes.first else {
                Issue.record("\(outcomes)")
                return
            }
        }
        let identity = try #require(UplinkIdentity(site: "quarry", incarnation: Harness.incarnation))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let uplink = Uplink(
            identity: identity, lanes: [.init(source: log, settings: .standard)], store: store, announcer: nil,
            clock: ContinuousClock(), random: { UInt64.random(in: .min ... .max) }, logger: logger)
        let running = Task { await uplink.run() }
        #expect(await uplink.drain(within: .seconds(60)))
        running.cancel()
        await running.value
        #expect(log.uploadState.openPlans.isEmpty)
        #expect(log.durableBytes > 0)
    }

    private func removeTree(_ directory: String) {
        guard let stream = opendir(directory) else { return }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name != ".", name != ".." else { continue }
            let path = "\(directory)/\(name)"
            if unlink(path) != 0 { removeTree(path) }
        }
        closedir(stream)
        rmdir(directory)
    }
}
