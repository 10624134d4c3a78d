/// What a seed's world is like, apart from the order of its events: sizes, limits, and how much goes wrong.
struct Conditions: Sendable {
    let segmentSizeBytes = 128 << 10
    /// Segments a lane may have: with few of them and the store down, the quota is reached.
    let quotaSegments: Int
    let spareSegmentsMax: Int
    let keepBytes: Int
    /// Segment files the disk has room for, nil for any number; may be fewer than the quota allows.
    let capacitySegments: Int?
    let payloadBytesMax: Int
    let beginsWithoutStore: Bool
    /// Whether the adopter reads every byte of an object first.
    let verifiesRuns: Bool
    /// Lanes that give up their oldest data when they are full, by place.
    let dropsOldest: [Bool]
    /// And what has waited for so long, whether they are full or not.
    let quotaAge: Duration?
    let diskFaultsPerMille: Int
    let ledgerFaultsPerMille: Int
    /// The longest time that passes in one event: seconds in some lives, hours in others, so that they take days.
    let passMsMax: Int
    /// The uplink's cap; nil: none.
    let uplinkBytesPerSecond: Int?
    /// An older copy of the disks is put back, now and then.
    var isSetBack: Bool
    /// A copy of the disks starts in another machine.
    var isCopied: Bool
    /// Bits flip in what is synced.
    var rotPerMille: Int

    /// Of each disk.
    var capacityBytes: Int { capacitySegments.map { $0 * segmentSizeBytes } ?? .max }

    /// One kind of bad disk in every life, or in none of them; anything else leaves them as drawn.
    mutating func force(_ mishap: String) {
        guard ["none", "set-back", "copies", "rot"].contains(mishap) else { return }
        (isSetBack, isCopied) = (mishap == "set-back", mishap == "copies")
        rotPerMille = mishap == "rot" ? max(rotPerMille, 20) : 0
    }

    init(using random: inout SeededRandom) {
        let quotaSegments = [2, 3, 4, 16].randomElement(using: &random) ?? 16
        spareSegmentsMax = Int.random(in: 0...2, using: &random)
        keepBytes = random.chance(300) ? segmentSizeBytes : 0
        capacitySegments = random.chance(250) ? Int.random(in: 2...4, using: &random) + spareSegmentsMax : nil
        let payloadBytesMax = [20, 400, 3000].randomElement(using: &random) ?? 20
        verifiesRuns = random.chance(300)
        diskFaultsPerMille = [0, 10, 40, 100].randomElement(using: &random) ?? 0
        ledgerFaultsPerMille = [0, 30, 150].randomElement(using: &random) ?? 0
        uplinkBytesPerSecond = random.chance(300) ? 4 << 10 : nil
        // One of them in a life: each is enough to explain.
        let mishap = Int.random(in: 0..<1000, using: &random)
        isSetBack = mishap < 110
        isCopied = (110..<220).contains(mishap)
        rotPerMille = (220..<360).contains(mishap) ? (mishap < 290 ? 5 : 20) : 0
        let passMsMax = random.chance(500) ? 5_000 : 12 * 3_600_000
        dropsOldest = [random.chance(300), random.chance(500)]
        let ageUnits = random.chance(300) ? Int.random(in: 5...40, using: &random) : nil
        let unitMs = passMsMax / 5
        quotaAge = ageUnits.map { .milliseconds($0 * unitMs) }
        self.passMsMax = passMsMax
        self.quotaSegments = quotaSegments
        // Little is dropped in a short life unless much comes and nothing goes.
        let isFlood = dropsOldest.contains(true) && random.chance(700)
        self.payloadBytesMax = isFlood ? 12_000 : payloadBytesMax
        beginsWithoutStore = isFlood && random.chance(700)
    }
}
