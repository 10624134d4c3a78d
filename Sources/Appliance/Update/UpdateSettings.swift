import Glibc

/// How this machine installs images.
struct UpdateSettings: Sendable, Equatable {
    /// Gets the path of the bundle as its only argument.
    var installCommand: String
    var installTimeout: Duration
    /// Before `/etc/cairn-image` and `/proc`.
    var systemRoot: String

    init(_ reader: SettingsReader, prefix: String) {
        installCommand = reader.text(prefix + "install-command")
        installTimeout = reader.duration(prefix + "install-timeout")
        systemRoot = reader.text(prefix + "system-root")
        if !installCommand.isEmpty, !installCommand.hasPrefix("/") {
            reader.refuse(prefix + "install-command", "expected an absolute path")
        }
        if installTimeout <= .zero { reader.refuse(prefix + "install-timeout", "must be above 0") }
        while systemRoot.hasSuffix("/") { systemRoot.removeLast() }
    }

    /// Whether there is such a command.
    var isSupported: Bool { !installCommand.isEmpty && access(installCommand, X_OK) == 0 }
}

extension EdgeKeys {
    static let update: [SettingKey] = [
        SettingKey(
            "update.install-command", .text, "/usr/lib/cairn/install-update",
            "Installs the bundle whose path it is given, and has the machine start with it. Not there: no updates."),
        SettingKey("update.install-timeout", .duration, "70m", "The install command is ended after so long."),
        SettingKey(
            "update.system-root", .text, "/", "Where /etc/cairn-image and /proc are, which say what image runs."),
    ]
}
