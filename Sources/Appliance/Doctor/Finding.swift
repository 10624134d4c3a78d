/// One thing that `cairn doctor` looked at: what it is, whether that is well, and what to do if not.
struct Finding: Codable, Sendable, Equatable {
    enum Verdict: String, Codable, Sendable {
        case good
        /// It works, but not as well or not as safely as it should.
        case warning
        /// Something will not work.
        case failure
        /// Could not be looked at, or is not there to be looked at.
        case skipped
    }

    /// Of `cairn doctor`'s list, one word.
    var check: String
    var verdict: Verdict
    /// What was found; one sentence without an end.
    var found: String
    /// What to do; nil when there is nothing to be done.
    var advice: String?

    static func good(_ check: String, _ found: String) -> Finding {
        Finding(check: check, verdict: .good, found: found, advice: nil)
    }

    static func warning(_ check: String, _ found: String, _ advice: String) -> Finding {
        Finding(check: check, verdict: .warning, found: found, advice: advice)
    }

    static func failure(_ check: String, _ found: String, _ advice: String) -> Finding {
        Finding(check: check, verdict: .failure, found: found, advice: advice)
    }

    static func skipped(_ check: String, _ found: String) -> Finding {
        Finding(check: check, verdict: .skipped, found: found, advice: nil)
    }
}
