import AsyncHTTPClient
import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import ObjectStore

/// Not a test but a measurement, run by hand in a release build (README.md says how). Prints MB/s and CPU seconds per GB.
@Suite("Measurement", .enabled(if: getenv("CAIRN_MEASURE") != nil, "CAIRN_MEASURE is not set"), .serialized)
struct StoreMeasurement {
    private func seconds(_ clock: clockid_t) -> Double {
        var now = timespec()
        clock_gettime(clock, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }

    /// Runs `body` for `count` objects of `sizeBytes`, `width` at a time. `elsewhere`: CPU seconds that are not the store's.
    private func measure(
        _ name: String, sizeBytes: Int, count: Int, width: Int, elsewhere: () async throws -> Double,
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let (wall, cpu, other) = (
            seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID), try await elsewhere()
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            for start in 0..<width {
                group.addTask { for index in stride(from: start, to: count, by: width) { try await body(index) } }
            }
            try await group.waitForAll()
        }
        let took = seconds(CLOCK_MONOTONIC) - wall
        let spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu - (try await elsewhere() - other)
        let megabytes = Double(sizeBytes * count) / 1e6
        func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
        print(
            "\(name) \(sizeBytes >> 10) KiB x \(count), \(width) at a time: \(rounded(megabytes / took)) MB/s, "
                + "\(rounded(Double(count) / took)) op/s, \(rounded(spent / megabytes * 1000)) CPU-s/GB, "
                + "\(rounded(spent / Double(count) * 1e6)) CPU-us/op")
    }

    private func run(_ name: String, _ store: any ObjectStore, elsewhere: () async throws -> Double = { 0 })
        async throws
    {
        for (size, count, width) in [(8 << 20, 64, 1), (8 << 20, 64, 4), (1 << 20, 256, 4), (4 << 10, 2000, 4)] {
            let body = bytes(size)
            try await measure("\(name) PUT", sizeBytes: size, count: count, width: width, elsewhere: elsewhere) {
                _ = try await store.put("m/\(size)/\($0)", body, ifAbsent: true)
            }
            try await measure("\(name) GET", sizeBytes: size, count: count, width: width, elsewhere: elsewhere) {
                _ = try await store.get("m/\(size)/\($0)")
            }
            _ = try await store.delete((0..<count).map { "m/\(size)/\($0)" })
        }
    }

    @Test("directory store")
    func directory() async throws {
        let directory = TemporaryDirectory()
        try await run("directory", DirectoryStore(root: directory.path))
    }

    @Test("sealing alone, against the same memory store without it")
    func sealed() async throws {
        try await run("memory", MemoryStore())
        try await run("memory, sealed", SealedStore(MemoryStore(), keys: TestKeys("a").live()))
    }

    @Test("S3 store against the stub, whose thread is not counted", arguments: [nil, 0])
    func s3(signedPayloadBytesMax: Int?) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let stub = S3Stub(remembers: false)
        let port = try await stub.start(on: group)
        var configuration = S3Configuration(
            endpoint: "http://127.0.0.1:\(port)", bucket: "b",
            credentials: S3Credentials(accessKeyID: "id", secretAccessKey: "secret"))
        configuration.signedPayloadBytesMax = signedPayloadBytesMax
        let client = S3Store.makeHTTPClient(configuration)
        let store = try S3Store(configuration: configuration, httpClient: client)
        try await run(signedPayloadBytesMax == nil ? "S3, signed" : "S3, CRC-32C", store) {
            try await group.next().submit { self.seconds(CLOCK_THREAD_CPUTIME_ID) }.get()
        }
        try await client.shutdown()
        await stub.stop()
        try await group.shutdownGracefully()
    }
}
