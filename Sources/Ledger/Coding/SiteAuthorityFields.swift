// The fields of site registrations and boots, in the order of docs/ledger-format.md.

extension SiteRegistration.Key: LedgerCoded {
    static var blank: Self { Self(generation: 0, salt: "", fingerprint: "", createdMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.integer(&generation)
        try coder.text(&salt)
        try coder.text(&fingerprint)
        try coder.signed(&createdMs)
        try coder.signed(&expiresMs)
    }
}

extension SiteRegistration: LedgerCoded {
    static var blank: Self { Self(topics: [], keys: [], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.unsigned(&version)
        try coder.boolean(&isRevoked)
        try coder.texts(&topics)
        try coder.texts(&lanes)
        try coder.list(&keys)
        try coder.configs(&directives)
        try coder.unsigned(&directivesVersion)
        try coder.signed(&createdMs)
        try coder.signed(&changedMs)
    }
}

extension SiteBoot: LedgerCoded {
    static var blank: Self { Self(number: 0, nonce: "", address: "", seenMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.unsigned(&number)
        try coder.text(&nonce)
        try coder.text(&address)
        try coder.signed(&seenMs)
    }
}

extension SetSiteRegistration: LedgerCoded {
    static var blank: Self { Self(site: "", registration: .blank, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.value(&registration)
        try coder.signed(&nowMs)
    }
}

extension NoteSiteBoot: LedgerCoded {
    static var blank: Self { Self(site: "", incarnation: "", boot: .blank, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.text(&incarnation)
        try coder.value(&boot)
        try coder.signed(&nowMs)
    }
}

extension SiteRegistered: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.value(&registration)
    }
}

extension SiteBooted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.text(&incarnation)
        try coder.value(&boot)
        try coder.boolean(&isContender)
    }
}

// MARK: - In snapshots

extension LedgerState {
    func writeSiteAuthority(to writer: inout LedgerWriter) {
        writer.write(UInt64(sites.registrations.count))
        for (site, registration) in sites.registrations.sorted(by: { $0.key < $1.key }) {
            writer.write(text: site)
            writer.write(registration)
        }
        let boots = bootRecords
        writer.write(UInt64(boots.count))
        for record in boots { writer.write(record) }
    }

    mutating func readSiteAuthority(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        guard reader.version >= 4 else { return }
        for _ in 0..<(try reader.readCount()) {
            let site = try reader.readText()
            sites.registrations[site] = try reader.read(SiteRegistration.self)
        }
        for _ in 0..<(try reader.readCount()) {
            let record = try reader.read(SiteBooted.self)
            guard sites.all[record.site]?.incarnations[record.incarnation] != nil else {
                throw .invalidValue(what: "boot of an unknown incarnation")
            }
            if record.isContender {
                sites.all[record.site]?.incarnations[record.incarnation]?.contender = record.boot
            } else {
                sites.all[record.site]?.incarnations[record.incarnation]?.boot = record.boot
            }
        }
    }

    /// Boots and contenders of all incarnations, in the order of their names.
    private var bootRecords: [SiteBooted] {
        var records: [SiteBooted] = []
        for (site, state) in sites.all.sorted(by: { $0.key < $1.key }) {
            for (name, incarnation) in state.incarnations.sorted(by: { $0.key < $1.key }) {
                for (boot, isContender) in [(incarnation.boot, false), (incarnation.contender, true)] {
                    guard let boot else { continue }
                    records.append(
                        SiteBooted(site: site, incarnation: name, boot: boot, isContender: isContender))
                }
            }
        }
        return records
    }
}
