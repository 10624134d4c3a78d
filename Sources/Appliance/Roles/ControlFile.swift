import FoundationEssentials
import Glibc
import SiteAuthority

/// How a command on the same machine reaches a running gateway: `control.json` in its data directory, readable for its own user only.
/// Written anew, with a new token, at every start.
struct ControlFile: Codable, Equatable {
    /// Of the console, on this machine.
    var url: String
    var token: String

    static func path(_ directory: String) -> String { directory + "/control.json" }

    /// Writes the file. Throws when the directory cannot be written.
    static func make(directory: String, http: HostPort) throws -> ControlFile {
        let host = ["0.0.0.0": "127.0.0.1", "::": "::1"][http.host] ?? http.host
        let token = MessageCode.hexadecimal(MessageCode.random(bytes: 32))
        let file = ControlFile(url: "http://\(HostPort(host: host, port: http.port))", token: token)
        let path = path(directory)
        _ = unlink(path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let bytes = [UInt8](try JSONEncoder().encode(file))
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw Failure(description: "\(path): \(String(cString: strerror(errno)))")
        }
        return file
    }

    static func read(directory: String) -> ControlFile? {
        guard let data = try? Data(contentsOf: URL(filePath: path(directory))) else { return nil }
        return try? JSONDecoder().decode(ControlFile.self, from: data)
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
