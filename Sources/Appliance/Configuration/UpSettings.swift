/// The settings of `cairn up`: both roles over one data directory.
struct UpSettings: Sendable {
    var dataDirectory: String
    var edge: EdgeSettings
    var cloud: CloudSettings

    init(_ reader: SettingsReader) {
        dataDirectory = reader.text("data-dir")
        edge = EdgeSettings(reader, prefix: "edge.")
        cloud = CloudSettings(reader, prefix: "cloud.")
        edge.dataDirectory = dataDirectory + "/edge"
        cloud.dataDirectory = dataDirectory + "/cloud"
        let store = StoreSettings.directory(path: dataDirectory + "/objects")
        edge.store = store
        cloud.store = store
    }
}
