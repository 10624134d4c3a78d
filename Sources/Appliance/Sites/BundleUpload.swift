import AsyncHTTPClient
import FoundationEssentials
import Glibc
import NIOCore
import NIOHTTP1
import ObjectStore
import SiteAuthority
import Synchronization

/// Puts a bundle into the store of a cloud node: by a URL that the node signs, or as a file where the store is a directory.
struct BundleUpload {
    let node: SiteCommand.Node
    let path: String
    let version: String
    let again: Bool

    /// S3 takes no more in one PUT than 5 GB.
    private static let pieceBytes = 1 << 20

    func run() async throws -> SiteOrder.Bundle {
        let (sizeBytes, sha256) = try measure()
        let name = UpdateOrder.keyName(path.split(separator: "/").last.map(String.init) ?? "")
        let bundle = SiteOrder.Bundle(
            key: "\(UpdateOrder.prefix)\(sha256)/\(name)", sizeBytes: sizeBytes, sha256: sha256, version: version,
            again: again)
        var order = SiteOrder(.upload, site: "")
        order.bundle = bundle
        let reply = try await node.order(order)
        if let url = reply.uploadURL {
            try await put(url, reply.uploadHeaders ?? [:], sizeBytes)
        } else if reply.isStored != true, let store = reply.store, store.url.hasPrefix("dir:") {
            try await place(bundle, String(store.url.dropFirst(4)))
        }
        FileHandleLine.write("\(bundle.key): \(sizeBytes) bytes are in the store\n", to: 1)
        return bundle
    }

    private func measure() throws -> (Int, String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Complaint.say("\(path): \(systemError())", Complaint.unavailable) }
        defer { close(descriptor) }
        var digest = RunningDigest()
        var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
        var sizeBytes = 0
        while true {
            guard let count = piece.withUnsafeMutableBytes({ readFully(descriptor, $0, at: sizeBytes) }) else {
                throw Complaint.say("\(path): \(systemError())", Complaint.unavailable)
            }
            piece.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            sizeBytes += count
            if count < piece.count { break }
        }
        guard (1...UpdateOrder.sizeBytesMax).contains(sizeBytes) else {
            throw Complaint.say(
                "\(path): \(sizeBytes) bytes; a bundle has up to \(UpdateOrder.sizeBytesMax)", Complaint.usage)
        }
        return (sizeBytes, MessageCode.hexadecimal(digest.finish()))
    }

    private func put(_ url: String, _ headers: [String: String], _ sizeBytes: Int) async throws {
        var request = HTTPClientRequest(url: url)
        request.method = .PUT
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .stream(FilePieces(path: path), length: .known(Int64(sizeBytes)))
        let response: HTTPClientResponse
        do {
            response = try await HTTPClient.shared.execute(request, timeout: .hours(6))
        } catch {
            // The URL opens the store, and is not shown.
            throw Complaint.say("the bundle could not be uploaded: \(error)", Complaint.unavailable)
        }
        let said = try? await response.body.collect(upTo: 16 << 10)
        // 412: somebody else was as fast; the size is looked at when sites are told.
        guard (200..<300).contains(response.status.code) || response.status.code == 412 else {
            let reason = said.map { String(String(buffer: $0).prefix(300)) } ?? ""
            throw Complaint.say(
                "the store answered \(response.status.code) to the bundle: \(reason)", Complaint.unavailable)
        }
    }

    /// A node's directory is seen from its own machine only.
    private func place(_ bundle: SiteOrder.Bundle, _ root: String) async throws {
        guard FileManager.default.fileExists(atPath: root) else {
            throw Complaint.say("the store is directory \(root) of the node: run this there", Complaint.unavailable)
        }
        let copy = try VerifiedCopy(path: path, sha256: bundle.sha256)
        do {
            _ = try await DirectoryStore(root: root).put(bundle.key) { try copy.next() }
        } catch {
            throw Complaint.say("\(error)", Complaint.unavailable)
        }
        giveToOwner(of: root, bundle.key)
    }

    /// What root puts down belongs to whose directory it is: the node deletes it one day.
    private func giveToOwner(of root: String, _ key: String) {
        var owner = stat()
        guard geteuid() == 0, stat(root, &owner) == 0 else { return }
        var path = root
        for part in key.split(separator: "/") {
            path += "/\(part)"
            _ = lchown(path, owner.st_uid, owner.st_gid)
        }
    }
}

/// Reads a file once more, and ends with an error where it is not what was measured.
private final class VerifiedCopy: Sendable {
    struct Changed: Error, CustomStringConvertible {
        let path: String
        var description: String { "\(path) was changed meanwhile; nothing was stored" }
    }

    private struct State: ~Copyable {
        var offset = 0
        var digest = RunningDigest()
    }

    private static let pieceBytes = 1 << 20
    private let path: String
    private let sha256: String
    private let descriptor: Int32
    private let state = Mutex(State())

    init(path: String, sha256: String) throws {
        self.path = path
        self.sha256 = sha256
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Complaint.say("\(path): \(systemError())", Complaint.unavailable) }
    }

    deinit { close(descriptor) }

    /// Nil at the end.
    func next() throws -> ByteBuffer? {
        try state.withLock { state in
            var piece = ByteBuffer()
            let count = piece.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.pieceBytes) { space in
                readFully(
                    descriptor, UnsafeMutableRawBufferPointer(rebasing: space[..<Self.pieceBytes]), at: state.offset)
                    ?? 0
            }
            guard count > 0 else {
                var digest = RunningDigest()
                swap(&digest, &state.digest)
                guard MessageCode.hexadecimal(digest.finish()) == sha256 else { throw Changed(path: path) }
                return nil
            }
            piece.withUnsafeReadableBytes { state.digest.update($0) }
            state.offset += count
            return piece
        }
    }
}

/// A file, piece by piece.
private struct FilePieces: AsyncSequence, Sendable {
    let path: String

    struct AsyncIterator: AsyncIteratorProtocol {
        let path: String
        var offset = 0

        mutating func next() async throws -> ByteBuffer? {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw CocoaError(.fileReadNoSuchFile) }
            defer { close(descriptor) }
            var piece = [UInt8](repeating: 0, count: 256 << 10)
            guard let count = piece.withUnsafeMutableBytes({ readFully(descriptor, $0, at: offset) }), count > 0 else {
                return nil
            }
            offset += count
            return ByteBuffer(bytes: piece[..<count])
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(path: path) }
}
