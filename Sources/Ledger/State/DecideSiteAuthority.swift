extension LedgerState {
    func decide(_ command: SetSiteRegistration) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.text("site", command.site)
        let present = sites.registrations[command.site]
        let expected = (present?.version ?? 0) + 1
        guard command.registration.version == expected else {
            throw .siteChanged(site: command.site, version: present?.version ?? 0)
        }
        let count = sites.registrations.count + (present == nil ? 1 : 0)
        try Check.count("sites", count, max: LedgerLimits.sitesMax)
        try check(command.registration)
        let record = SiteRegistered(site: command.site, registration: command.registration)
        return LedgerDecision(records: [.siteRegistered(record)], answer: .done)
    }

    private func check(_ registration: SiteRegistration) throws(LedgerRefusal) {
        try Check.count("topics", registration.topics.count, max: SiteRegistration.patternsMax)
        for pattern in registration.topics { try Check.text("topic pattern", pattern) }
        try Check.count("lanes", registration.lanes.count, max: LedgerLimits.lanesPerIncarnationMax)
        for lane in registration.lanes { try Check.text("lane", lane) }
        try Check.count("keys", registration.keys.count, max: SiteRegistration.keysMax)
        for key in registration.keys {
            try Check.text("salt", key.salt)
            try Check.text("fingerprint", key.fingerprint)
        }
        try Check.count("directives", registration.directives.count, max: SiteRegistration.directivesMax)
        for (name, value) in registration.directives {
            try Check.text("directive", name)
            try Check.count("directive value", value.utf8.count, max: LedgerLimits.keyBytesMax)
        }
    }

    func decide(_ command: NoteSiteBoot) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.text("site", command.site)
        try Check.text("incarnation", command.incarnation)
        try Check.text("nonce", command.boot.nonce, bytesMax: 64)
        try Check.count("address", command.boot.address.utf8.count, max: LedgerLimits.keyBytesMax)
        try checkMayWrite(command.site, command.incarnation)
        let state = sites.all[command.site]?.incarnations[command.incarnation]
        if let holder = state?.boot, holder != command.boot {
            let isSame = holder.number == command.boot.number && holder.nonce == command.boot.nonce
            if command.boot.number < holder.number || (command.boot.number == holder.number && !isSame) {
                return contested(command, holder, state?.contender)
            }
            if isSame, holder.address == command.boot.address { return LedgerDecision(answer: .boot(.held)) }
        }
        let record = SiteBooted(
            site: command.site, incarnation: command.incarnation, boot: command.boot, isContender: false)
        return LedgerDecision(
            records: state?.boot == command.boot ? [] : [.siteBooted(record)], answer: .boot(.held))
    }

    /// The same contender is recorded once, however often it asks.
    private func contested(_ command: NoteSiteBoot, _ holder: SiteBoot, _ known: SiteBoot?) -> LedgerDecision {
        let isKnown = known?.nonce == command.boot.nonce && known?.number == command.boot.number
        let record = SiteBooted(
            site: command.site, incarnation: command.incarnation, boot: command.boot, isContender: true)
        return LedgerDecision(
            records: isKnown ? [] : [.siteBooted(record)], answer: .boot(.contested(holder: holder)))
    }

    /// Revoked and suspended sites and fenced incarnations may not; a new name must have room.
    func checkMayWrite(_ name: String, _ incarnationName: String) throws(LedgerRefusal) {
        if sites.registrations[name]?.isRevoked == true { throw .siteRevoked(site: name) }
        let site = sites.all[name]
        if site?.isSuspended == true { throw .siteSuspended(site: name) }
        let incarnation = site?.incarnations[incarnationName]
        if incarnation?.isFenced == true { throw .incarnationFenced(site: name, incarnation: incarnationName) }
        if site == nil { try Check.count("sites", sites.all.count + 1, max: LedgerLimits.sitesMax) }
        if incarnation == nil {
            let count = (site?.incarnations.count ?? 0) + 1
            try Check.count("incarnations", count, max: LedgerLimits.incarnationsPerSiteMax)
        }
    }

    /// What a registered site may write to; others are for the caller to judge.
    func checkGrants(_ adoption: SiteAdoption) throws(LedgerRefusal) {
        guard let registration = sites.registrations[adoption.site] else { return }
        guard registration.allows(lane: adoption.lane) else {
            throw .laneNotAllowed(site: adoption.site, lane: adoption.lane)
        }
        for run in adoption.runs where !registration.allows(topic: run.topic) {
            throw .topicNotAllowed(site: adoption.site, topic: run.topic)
        }
    }

    mutating func apply(_ record: SiteRegistered) { sites.registrations[record.site] = record.registration }

    mutating func apply(_ record: SiteBooted) {
        sites.see(record.site, nowMs: record.boot.seenMs)
        var incarnation =
            sites.all[record.site]?.incarnations[record.incarnation]
            ?? IncarnationState(firstSeenMs: record.boot.seenMs)
        if record.isContender { incarnation.contender = record.boot } else { incarnation.boot = record.boot }
        sites.all[record.site]?.incarnations[record.incarnation] = incarnation
    }
}
