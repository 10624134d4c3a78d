/// The part of a GUID partition table that is looked at here: where a partition of a certain type and name lies.
/// Source: UEFI specification 2.10, section 5.3.
struct GPTTable: Equatable {
    struct Entry: Equatable {
        var name: String
        var bytes: Range<Int>
        var isBasicData: Bool
    }

    var entries: [Entry]

    /// Nil when there is none. `head`: the first bytes of a disk, with all of the table in it.
    init?(_ head: [UInt8]) {
        guard let sector = Self.sectorBytes(of: head) else { return nil }
        let header = head[sector...]
        let start = Self.number(header, 72, bytes: 8).multipliedReportingOverflow(by: sector)
        let (count, size) = (Self.number(header, 80, bytes: 4), Self.number(header, 84, bytes: 4))
        guard !start.overflow, start.partialValue >= 0, (128...4096).contains(size), (1...1024).contains(count),
            start.partialValue <= head.count - count * size
        else { return nil }
        entries = (0..<count).compactMap { index in
            Self.entry(head[(start.partialValue + index * size)...].prefix(size), sector)
        }
    }

    /// By the place of the signature.
    static func sectorBytes(of head: [UInt8]) -> Int? {
        [512, 4096].first { head.count >= $0 + 512 && head[$0...].starts(with: "EFI PART".utf8) }
    }

    private static func entry(_ bytes: ArraySlice<UInt8>, _ sector: Int) -> Entry? {
        guard bytes.prefix(16).contains(where: { $0 != 0 }) else { return nil }
        let (first, last) = (number(bytes, 32, bytes: 8), number(bytes, 40, bytes: 8))
        guard first > 0, last >= first, last < 1 << 50 else { return nil }
        let units = stride(from: 56, to: 128, by: 2).map { UInt16(number(bytes, $0, bytes: 2)) }
        return Entry(
            name: String(decoding: units.prefix { $0 != 0 }, as: UTF16.self),
            bytes: first * sector..<(last + 1) * sector,
            isBasicData: bytes.prefix(16).elementsEqual(basicData))
    }

    /// EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, its first three fields little-endian.
    private static let basicData: [UInt8] = [
        0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7,
    ]

    /// Little-endian; all ones where it does not fit.
    private static func number(_ slice: ArraySlice<UInt8>, _ offset: Int, bytes: Int) -> Int {
        let found = slice.dropFirst(offset).prefix(bytes)
        let value = found.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int(exactly: value) ?? -1
    }
}
