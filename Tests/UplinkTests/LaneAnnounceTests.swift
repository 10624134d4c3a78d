import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Uplink

@Suite("Lane announce")
struct LaneAnnounceTests {
    var announce = LaneAnnounce(retry: RetryPolicy(base: .seconds(1), cap: .seconds(60)))
    var random = SeededRandom(seed: 3)

    func announcement(_ sequence: UInt64) -> Announcement {
        Announcement(
            site: "a", incarnation: "b", lane: "c", sequence: sequence, key: "k\(sequence)", firstLSN: 1, lastLSN: 2)
    }

    @Test("an object is announced and, once adopted, forgotten")
    mutating func adopted() {
        #expect(announce.timer(now: .zero) == .wait)
        #expect(announce.uploaded(announcement(4)) == .announce(announcement(4)))
        #expect(announce.isPending)
        #expect(announce.announced(adoptedThrough: 4, now: .zero, using: &random) == .wait)
        #expect(!announce.isPending)
        #expect(announce.adoptedThrough == 4)
    }

    @Test("of what was uploaded meanwhile only the newest is announced")
    mutating func onlyTheNewest() {
        _ = announce.uploaded(announcement(4))
        #expect(announce.uploaded(announcement(5)) == nil)
        #expect(announce.uploaded(announcement(6)) == nil)
        #expect(announce.announced(adoptedThrough: 4, now: .zero, using: &random) == .announce(announcement(6)))
        #expect(announce.announced(adoptedThrough: 6, now: .zero, using: &random) == .wait)
    }

    @Test("a failure rests, then announces the newest; a new object does not shorten the rest")
    mutating func failure() {
        _ = announce.uploaded(announcement(4))
        guard case .rest(let until) = announce.failed(retryAfter: .seconds(7), now: .seconds(1), using: &random) else {
            return
        }
        #expect(until >= .seconds(8) && until <= .seconds(9))
        #expect(announce.uploaded(announcement(5)) == .rest(until: until))
        #expect(announce.timer(now: .seconds(2)) == .rest(until: until))
        #expect(announce.timer(now: until) == .announce(announcement(5)))
        #expect(announce.timer(now: until) == nil)
    }

    @Test("what was heard but not adopted is announced again, ever more slowly and never in step")
    mutating func notYetAdopted() {
        _ = announce.uploaded(announcement(4))
        var pauses: Set<Duration> = []
        for round in 1...100 {
            guard case .rest(let until) = announce.announced(adoptedThrough: 3, now: .zero, using: &random) else {
                Issue.record("no rest in round \(round)")
                return
            }
            #expect(until <= .seconds(60))
            if round > 50 { pauses.insert(until) }
            #expect(announce.timer(now: until) == .announce(announcement(4)))
        }
        #expect(pauses.count == 50)
    }

    @Test("a cloud that does not say what it adopted is not asked again")
    mutating func noAnswer() {
        _ = announce.uploaded(announcement(4))
        #expect(announce.announced(adoptedThrough: nil, now: .zero, using: &random) == .wait)
    }
}

@Suite("Announcement")
struct AnnouncementTests {
    let incarnation = "0123456789abcdef0123456789abcdef"

    @Test("JSON is there and back, with the largest numbers")
    func roundTrip() {
        let key = "sites/a/\(incarnation)/c/18446744073709551615"
        let announcement = Announcement(
            site: "a", incarnation: incarnation, lane: "c", sequence: .max, key: key, firstLSN: .max - 1, lastLSN: .max)
        #expect(
            String(buffer: AnnounceCoding.encode(announcement))
                == #"{"firstLSN":18446744073709551614,"incarnation":"\#(incarnation)","key":"\#(key)","lane":"c","#
                + #""lastLSN":18446744073709551615,"sequence":18446744073709551615,"site":"a"}"#)
        #expect(AnnounceCoding.announcement(AnnounceCoding.encode(announcement)) == announcement)
        #expect(announcement.objectKey?.sequence == .max)
        let reply = AnnounceReply(adopted: ["c": .max], directives: ["x": "y"])
        #expect(AnnounceCoding.reply(AnnounceCoding.encode(reply)) == reply)
    }

    @Test(
        "what is not such JSON is nothing", arguments: ["", "{", "[]", "{}", #"{"adopted":{"a":-1},"directives":{}}"#])
    func refused(text: String) {
        #expect(AnnounceCoding.announcement(ByteBuffer(string: text)) == nil)
        #expect(AnnounceCoding.reply(ByteBuffer(string: text)) == nil)
    }

    @Test("a body over the limit is not parsed")
    func tooLong() {
        let padding = String(repeating: " ", count: AnnounceCoding.replyBytesMax)
        let text = #"{"adopted":{},"directives":{}}"#
        #expect(AnnounceCoding.reply(ByteBuffer(string: text)) != nil)
        #expect(AnnounceCoding.reply(ByteBuffer(string: text + padding)) == nil)
    }

    @Test("an announcement whose key is not that of its fields names no object")
    func foreignKey() {
        var announcement = Announcement(
            site: "a", incarnation: incarnation, lane: "c", sequence: 1, key: "x", firstLSN: 1, lastLSN: 1)
        #expect(announcement.objectKey == nil)
        announcement.key = "sites/b/\(incarnation)/c/00000000000000000001"
        #expect(announcement.objectKey == nil)
        announcement.key = "sites/a/\(incarnation)/c/00000000000000000001"
        #expect(announcement.objectKey != nil)
    }
}
