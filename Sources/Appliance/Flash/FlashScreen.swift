import Glibc

/// How far it is: one line that changes on a terminal, a line now and then elsewhere.
final class FlashScreen {
    private let isTerminal = isatty(2) == 1
    private var phase: Flasher.Phase?
    private var beganNs: UInt64 = 0
    private var shownNs: UInt64 = 0
    private var isLineOpen = false

    func show(_ phase: Flasher.Phase, _ doneBytes: Int, _ totalBytes: Int?) {
        let nowNs = monotonicNanoseconds()
        if phase != self.phase {
            end()
            (self.phase, beganNs, shownNs) = (phase, nowNs, 0)
        }
        let isEnd = doneBytes == totalBytes
        let pauseNs: UInt64 = isTerminal ? 200_000_000 : 10_000_000_000
        guard isEnd || shownNs == 0 || nowNs - shownNs >= pauseNs else { return }
        shownNs = nowNs
        let line = Self.line(phase, doneBytes, totalBytes, seconds: Double(nowNs - beganNs) / 1e9)
        FileHandleLine.write(isTerminal ? "\r\u{1B}[K" + line : line + "\n")
        isLineOpen = isTerminal
    }

    func end() {
        if isLineOpen { FileHandleLine.write("\n") }
        isLineOpen = false
    }

    static func line(_ phase: Flasher.Phase, _ doneBytes: Int, _ totalBytes: Int?, seconds: Double) -> String {
        let share = totalBytes.map { " \(doneBytes * 100 / max(1, $0))%" } ?? ""
        let total = totalBytes.map { " of \(LiveScreen.bytes($0))" } ?? ""
        let rate = LiveScreen.bytes(Int(Double(doneBytes) / max(seconds, 0.001)))
        return "\(phase.rawValue)\(share)  \(LiveScreen.bytes(doneBytes))\(total)  \(rate)/s"
    }
}

/// Ctrl-C and SIGTERM, as a flag that loops look at.
enum StopFlag {
    /// Signal handlers may touch nothing but such a word: it never moves and is never freed.
    nonisolated(unsafe) private static let word: UnsafeMutablePointer<sig_atomic_t> = {
        let word = UnsafeMutablePointer<sig_atomic_t>.allocate(capacity: 1)
        word.initialize(to: 0)
        return word
    }()

    static var isSet: Bool { word.pointee != 0 }

    /// A second signal ends the process as usual.
    static func install() {
        guard !isSet else { return }
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                StopFlag.word.pointee = 1
                signal(number, SIG_DFL)
            }
        }
    }
}
