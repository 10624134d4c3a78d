import NIOCore

/// Finds out, on fresh keys, what a store really does. Run it at start and act on its report.
///
/// Servers that ignore `If-None-Match` in silence are the dangerous ones: only a second PUT shows them.
public struct StoreProbe: Sendable {
    private let store: any ObjectStore
    private let directory: String

    /// Keys are made, and deleted again, under `prefix` + a name never used before (`nonce`, letters and digits).
    /// Credentials that are limited to a prefix need a `prefix` inside it.
    public init(_ store: any ObjectStore, prefix: String = "cairn-probe/", nonce: String = Self.freshNonce()) {
        self.store = (store as? S3Store)?.adapted(to: StoreCapabilities()) ?? store
        directory = prefix + nonce + "/"
    }

    public static func freshNonce() -> String { String(UInt64.random(in: .min ... .max), radix: 16) }

    /// Looks at everything. Errors of single steps are findings of the report; it throws only when not even a PUT and GET work.
    public func run() async throws(ObjectStoreError) -> StoreProbeReport {
        var report = StoreProbeReport(directory: directory)
        let body = ByteBuffer(string: "0123456789abcdefghij")
        do throws(ObjectStoreError) {
            _ = try await store.put(directory + "object", body, ifAbsent: false)
            let read = try await store.get(directory + "object")
            guard read == body else {
                throw ObjectStoreError(.probe, key: directory + "object", .corrupt("read other bytes than were put"))
            }
        } catch {
            await cleanUp()
            throw error
        }
        await createOnly(&report)
        await ranged(&report, body)
        await listing(&report)
        await batchDelete(&report)
        await cleanUp()
        return report
    }

    private func createOnly(_ report: inout StoreProbeReport) async {
        report.capabilities.conditionalCreate = await report.find("create only if absent") {
            () async throws(ObjectStoreError) in
            let key = directory + "once"
            guard case .created = try await store.put(key, ByteBuffer(string: "first"), ifAbsent: true) else {
                return "the first PUT on a fresh key was refused"
            }
            guard try await store.put(key, ByteBuffer(string: "second"), ifAbsent: true) == .alreadyExists else {
                return "the second PUT replaced the object: the condition is ignored"
            }
            let kept = try await store.get(key)
            return kept == ByteBuffer(string: "first") ? nil : "the second PUT was refused, and yet replaced the object"
        }
        guard let s3 = store as? S3Store else { return }
        report.capabilities.conditionalMultipart = await report.find("create only, in parts") {
            () async throws(ObjectStoreError) in
            let key = directory + "once-in-parts"
            let parts = S3Multipart(store: s3, key: key, body: ByteBuffer(string: "part"), ifAbsent: true)
            guard case .created = try await parts.run() else { return "the first upload on a fresh key was refused" }
            return try await parts.runUnseen() == .alreadyExists ? nil : "the second upload replaced the object"
        }
    }

    private func ranged(_ report: inout StoreProbeReport, _ body: ByteBuffer) async {
        report.capabilities.rangedGet = await report.find("ranged GET") { () async throws(ObjectStoreError) in
            let key = directory + "object"
            let bytes = try await store.get(key, range: 3..<10)
            guard bytes == body.getSlice(at: 3, length: 7) else { return "other bytes than asked for" }
            if let s3 = store as? S3Store, try await !s3.answersRanges(key) {
                return "not answered with 206; the whole object may be sent, and is cut here"
            }
            return nil
        }
    }

    private func listing(_ report: inout StoreProbeReport) async {
        // '-' and '.' come before '/', which comes before '0'.
        let keys = ["a-b", "a.b", "a/b", "a0"].map { directory + "list/" + $0 }
        var seen: [String] = []
        report.capabilities.listAfterWrite = await report.find("LIST sees what was PUT") {
            () async throws(ObjectStoreError) in
            for key in keys.reversed() { _ = try await store.put(key, ByteBuffer(string: key), ifAbsent: false) }
            seen = try await store.list(prefix: directory + "list/", limit: 100).objects.map(\.key)
            return Set(seen) == Set(keys) ? nil : "\(seen.count) of \(keys.count) objects listed"
        }
        report.capabilities.listInByteOrder = await report.find("LIST in byte order, in pages") {
            () async throws(ObjectStoreError) in
            if seen != keys { return "order is \(seen.map { $0.dropFirst(directory.count) }.joined(separator: " "))" }
            let first = try await store.list(prefix: directory + "list/", limit: 2)
            guard let next = first.next else { return "no second page" }
            let rest = try await store.list(prefix: directory + "list/", startAfter: next, limit: 100)
            return (first.objects + rest.objects).map(\.key) == keys ? nil : "pages leave out or repeat objects"
        }
    }

    private func batchDelete(_ report: inout StoreProbeReport) async {
        report.capabilities.batchDelete = await report.find("DELETE of many at once") {
            () async throws(ObjectStoreError) in
            let keys = [directory + "list/a0", directory + "list/a/b", directory + "never-there"]
            if let s3 = store as? S3Store {
                guard let failed = try await s3.deleteBatch(keys[...]) else { return "not there; one by one instead" }
                if let failure = failed.values.first { return failure.description }
            } else if let failure = try await store.delete(keys).values.first {
                return failure.description
            }
            return try await store.head(keys[0]) == nil ? nil : "said done, and the object is still there"
        }
    }

    /// Best effort: a writer without the right to delete leaves a few small objects.
    private func cleanUp() async {
        guard let page = try? await store.list(prefix: directory, limit: 100), !page.objects.isEmpty else { return }
        _ = try? await (store as? S3Store)?.adapted(to: StoreCapabilities(batchDelete: false)).delete(
            page.objects.map(\.key))
        if !(store is S3Store) { _ = try? await store.delete(page.objects.map(\.key)) }
    }
}

/// What the probe found, for the program (``capabilities``) and for people (``description``).
public struct StoreProbeReport: Sendable, CustomStringConvertible {
    public struct Finding: Sendable, Equatable {
        public var what: String
        /// nil when it works as it should.
        public var flaw: String?
    }

    public let directory: String
    public var capabilities = StoreCapabilities()
    public private(set) var findings: [Finding] = []

    init(directory: String) { self.directory = directory }

    public var description: String {
        var lines = ["object store probe under \(directory)"]
        for finding in findings {
            let name = finding.what + String(repeating: " ", count: max(1, 30 - finding.what.count))
            lines.append("  " + (finding.flaw.map { "NO   " + name + $0 } ?? "yes  " + finding.what))
        }
        return (lines + advice).joined(separator: "\n")
    }

    private var advice: [String] {
        var lines: [String] = []
        if !capabilities.conditionalCreate {
            lines.append(
                "  Without create-only PUT, HEAD then PUT is used: two writers of one key at one moment can both succeed."
            )
            lines.append("  Do not keep the ledger's log in this store.")
        }
        if !capabilities.listAfterWrite {
            lines.append("  LIST is late: objects are found by announcement, or by a later listing.")
        }
        return lines
    }

    /// Runs one check: nil from `check` is good, a text is what is wrong, and so is an error.
    mutating func find(
        _ what: String, _ check: () async throws(ObjectStoreError) -> String?
    ) async -> Bool {
        var flaw: String?
        do throws(ObjectStoreError) { flaw = try await check() } catch { flaw = error.description }
        findings.append(Finding(what: what, flaw: flaw))
        return flaw == nil
    }
}
