import FoundationEssentials
import WriteAheadLog

/// Which keys the logs of a gateway or a cloud node need, by what stands in their segments.
struct LogKeyUsage {
    let needs: LaneKeyNeeds
    /// Directories that were looked at.
    let directories: [String]

    /// Nil when no data directory is named. Every directory of a lane counts, whether or not the lane is configured: those of lanes that
    /// were renamed, and those beside ones that could not be opened, hold data too.
    static func count(_ reader: SettingsReader) throws -> LogKeyUsage? {
        let (data, wal) = (reader.text("data-dir"), reader.text("wal.dir"))
        guard !data.isEmpty || !wal.isEmpty else { return nil }
        for named in [data, wal] where !named.isEmpty && !FileManager.default.fileExists(atPath: named) {
            throw Complaint.say(
                "\(named): no such directory, so what its log needs is not known", Complaint.unavailable)
        }
        let directories = directories(data: data, wal: wal)
        var needs = LaneKeyNeeds()
        for directory in directories {
            do throws(WALError) {
                needs.add(try LaneKeyNeeds(directory: directory))
            } catch {
                throw Complaint.say("\(directory): \(error)", Complaint.unavailable)
            }
        }
        return LogKeyUsage(needs: needs, directories: directories)
    }

    /// Of a gateway, of a node's volume, and of both below the directory of `cairn up`.
    private static func directories(data: String, wal: String) -> [String] {
        var found: [String] = []
        let roots = data.isEmpty ? [] : [data, data + "/edge"]
        for root in roots { found += children(of: root + "/lanes") { _ in true } }
        let volumes = (data.isEmpty ? [] : [data + "/wal", data + "/cloud/wal"]) + (wal.isEmpty ? [] : [wal])
        for volume in volumes {
            for place in [volume, volume + "/beside"] { found += children(of: place) { $0.hasPrefix("log") } }
        }
        return Set(found).sorted()
    }

    private static func children(of directory: String, _ isWanted: (String) -> Bool) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter(isWanted).map { directory + "/" + $0 }.filter { path in
            var isDirectory = false
            return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory
        }
    }
}
