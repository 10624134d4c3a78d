import Testing

@testable import Edge

@Suite struct ProducerIDsTests {
    @Test("ids never repeat, not over restarts either")
    func restarts() throws {
        let directory = try TemporaryDirectory()
        var seen = Set<Int64>()
        for _ in 0..<4 {
            let ids = ProducerIDs(path: directory.path + "/producer-ids", newSpace: .max)
            for _ in 0..<1500 { #expect(seen.insert(try ids.next()).inserted) }
        }
        #expect(seen.allSatisfy { $0 >= 0 })
        #expect(Set(seen.map { $0 >> 32 }).count == 1, "one installation keeps its space")
    }

    @Test("a damaged file begins a new space", arguments: ["", "7", "7 x\n", "7 8", "-1 0\n", "4294967295 0\n"])
    func damage(content: String) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/producer-ids"
        try directory.write(content, to: "producer-ids")
        #expect(try ProducerIDs(path: path, newSpace: 10).next() == 5 << 32)
        #expect(try ProducerIDs(path: path, newSpace: 99).next() == 5 << 32 | 1000)
    }

    @Test("a directory that cannot be written is an error, not an id")
    func unwritable() {
        let ids = ProducerIDs(path: "/nonexistent/producer-ids", newSpace: 1)
        #expect(throws: ProducerIDError.fileFailed(path: "/nonexistent/producer-ids.new", step: "open", errno: 2)) {
            try ids.next()
        }
    }
}
