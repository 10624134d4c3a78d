import ArgumentParser

/// Why an image was not written. The exit codes are those of sysexits.h.
enum FlashError: Error, Equatable, CustomStringConvertible {
    /// Image, map or bundle cannot be opened.
    case noInput(String)
    /// Image or map is damaged, or they do not belong together.
    case badImage(String)
    /// The device must not be written to, or somebody said no.
    case refused(String)
    /// A tool that is needed is not there.
    case noTool(String)
    /// The device does not take or does not keep the bytes.
    case failed(String)
    /// Ctrl-C.
    case stopped

    var exitCode: ExitCode {
        switch self {
        case .badImage: ExitCode(65)
        case .noInput: ExitCode(66)
        case .noTool: ExitCode(69)
        case .failed: ExitCode(74)
        case .refused: ExitCode(77)
        case .stopped: ExitCode(130)
        }
    }

    var description: String {
        switch self {
        case .noInput(let text), .badImage(let text), .refused(let text), .noTool(let text), .failed(let text): text
        case .stopped: "stopped"
        }
    }
}
