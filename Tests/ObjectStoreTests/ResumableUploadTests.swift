import FoundationEssentials
import NIOCore
import NIOHTTP1
import Testing

@testable import ObjectStore

@Suite("Resumable upload in parts")
struct ResumableUploadTests {
    /// 5,500 bytes are 5 parts of 1,000 bytes and one of 500.
    private let settings = {
        var settings = stubSettings
        settings.multipartThresholdBytes = 2000
        settings.partSizeBytes = 1000
        settings.resumablePartBytes = 1000
        return settings
    }()

    private func parts(_ stub: S3Stub) -> [String] {
        stub.log.filter { $0.hasPrefix("PUT") && $0.contains("partNumber=") && $0.hasSuffix("200") }
    }

    /// `body` is given a store as a process has it that starts over the journal in `path`.
    private func withJournal(
        _ body: (S3Stub, (Int) -> S3Store, MultipartJournalFile) async throws -> Void
    ) async throws {
        let directory = TemporaryDirectory()
        try await withStub(settings: settings) { stub, first async throws in
            let journal = MultipartJournalFile(path: directory.path + "/uploads.json")
            func store(_ attempt: Int) -> S3Store {
                // Each process reads the file anew.
                first.remembering(MultipartJournalFile(path: directory.path + "/uploads.json"))
            }
            try await body(stub, store, journal)
        }
    }

    @Test("killed after any part, the next process sends the others, and completes once", arguments: 1...6)
    func restarts(failing: Int) async throws {
        try await withJournal { stub, store, _ async throws in
            stub.script(S3Stub.Canned(method: .PUT, uriPart: "partNumber=\(failing)&", closes: true))
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store(1).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            }
            #expect(kind == .unavailable)
            #expect(parts(stub).count == failing - 1)
            #expect(stub.openUploads == 1 && stub.objects.isEmpty)
            let pace = CountingPace(pause: .zero)
            guard case .created = try await store(2).put("k", bytes(5500), ifAbsent: true, pace: pace) else {
                Issue.record("not created")
                return
            }
            #expect(stub.objects["k"] == bytes(5500))
            #expect(parts(stub).count == 6, "no part is sent twice")
            #expect(pace.admitted == 5500 - (failing - 1) * 1000)
            #expect(stub.openUploads == 0)
            #expect(store(3).journal?.entries.isEmpty == true)
        }
    }

    @Test("other bytes under the same key are sent, part by part, and of another size begin anew")
    func otherBytes() async throws {
        try await withJournal { stub, store, _ async throws in
            stub.script(S3Stub.Canned(method: .PUT, uriPart: "partNumber=4&", closes: true))
            _ = try? await store(1).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            var changed = bytes(5500)
            changed.setInteger(~(changed.getInteger(at: 1500) as UInt8? ?? 0), at: 1500)
            stub.script(S3Stub.Canned(method: .PUT, uriPart: "partNumber=5&", closes: true))
            _ = try? await store(2).put("k", changed, ifAbsent: true, pace: CountingPace(pause: .zero))
            #expect(stub.log.filter { $0.contains("partNumber=2&") && $0.hasSuffix("200") }.count == 2)
            #expect(stub.log.filter { $0.contains("partNumber=1&") && $0.hasSuffix("200") }.count == 1)
            _ = try await store(3).put("k", bytes(3000), ifAbsent: true, pace: CountingPace(pause: .zero))
            #expect(stub.objects["k"] == bytes(3000))
            #expect(stub.openUploads == 0)
        }
    }

    @Test("a completion that succeeded without an answer is found by the next attempt, and its upload is forgotten")
    func lostCompletion() async throws {
        try await withJournal { stub, store, _ async throws in
            stub.script(
                S3Stub.Canned(method: .POST, uriPart: "uploadId", afterEffect: true, closes: true))
            #expect(
                await kind { () async throws(ObjectStoreError) in
                    try await store(1).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
                } == .unavailable)
            #expect(stub.objects["k"] == bytes(5500))
            #expect(
                try await store(2).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
                    == .alreadyExists)
            #expect(parts(stub).count == 6)
            #expect(store(3).journal?.entries.isEmpty == true)
        }
    }

    @Test("an upload that the store has dropped begins anew")
    func dropped() async throws {
        try await withJournal { stub, store, journal async throws in
            journal.save(
                MultipartEntry(key: "k", uploadID: "gone", partBytes: 1000, sizeBytes: 5500, parts: []))
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store(1).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            }
            #expect(kind == .unavailable)
            _ = try await store(2).put("k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            #expect(stub.objects["k"] == bytes(5500))
        }
    }

    @Test("a pause keeps the parts that are done")
    func paused() async throws {
        try await withJournal { stub, store, _ async throws in
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store(1).put(
                    "k", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero, stopsAfter: 3200))
            }
            #expect(kind == .cancelled)
            #expect(stub.openUploads == 1)
            let pace = CountingPace(pause: .zero)
            _ = try await store(2).put("k", bytes(5500), ifAbsent: true, pace: pace)
            #expect(pace.admitted == 2500)
            #expect(stub.objects["k"] == bytes(5500))
        }
    }

    @Test("a smaller body goes in parts when the link would take more than a minute for it")
    func slowLink() async throws {
        var settings = settings
        settings.multipartThresholdBytes = 1 << 20
        try await withStub(settings: settings) { stub, plain async throws in
            let directory = TemporaryDirectory()
            let store = plain.remembering(MultipartJournalFile(path: directory.path + "/uploads.json"))
            for (rate, wanted) in [(nil, 0), (1000.0, 0), (50.0, 6)] {
                stub.clearLog()
                let pace = CountingPace(pause: .zero, linkBytesPerSecond: rate)
                _ = try await store.put("k", bytes(5500), ifAbsent: false, pace: pace)
                #expect(parts(stub).count == wanted, "\(rate ?? 0)")
            }
        }
    }

    @Test("what nobody will go on with is swept up, and nothing else")
    func leftovers() async throws {
        try await withJournal { stub, store, journal async throws in
            for (key, part) in [("sites/a/1", 3), ("sites/a/2", 2), ("sites/b/1", 2)] {
                stub.script(S3Stub.Canned(method: .PUT, uriPart: "partNumber=\(part)&", closes: true))
                _ = try? await store(1).put(key, bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            }
            #expect(stub.openUploads == 3)
            let last = store(2)
            last.forgetUploads(prefix: "sites/a/", keeping: ["sites/a/1"])
            #expect(try await last.abortLeftovers(prefix: "sites/a/") == 1)
            #expect(last.journal?.entries.map(\.key) == ["sites/a/1", "sites/b/1"])
            #expect(stub.openUploads == 2)
            _ = try await last.put("sites/a/1", bytes(5500), ifAbsent: true, pace: CountingPace(pause: .zero))
            #expect(stub.log.filter { $0.contains("sites/a/1") && $0.contains("partNumber=1&") }.count == 1)
        }
    }

    @Test("a damaged journal counts as none")
    func damaged() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/uploads.json"
        MultipartJournalFile(path: path).save(
            MultipartEntry(key: "k", uploadID: "u", partBytes: 1, sizeBytes: 2, parts: []))
        #expect(MultipartJournalFile(path: path).entries.count == 1)
        let whole = try Data(contentsOf: URL(filePath: path))
        for length in 0..<whole.count {
            try whole.prefix(length).write(to: URL(filePath: path))
            #expect(MultipartJournalFile(path: path).entries.isEmpty, "\(length) bytes")
        }
    }
}

extension S3Store {
    /// The same store with this journal.
    func remembering(_ journal: any MultipartJournal) -> S3Store { S3Store(configuration, transport, journal) }
}
