import KafkaProtocol
import Logging
import NIOCore

/// Everything between the bytes of one connection and the service: frames in, responses out in request order.
///
/// Reading stops while the connection is over one of its bounds (requests, bytes, a shared budget, responses that the
/// client does not take) and starts again when it is not: that is the only back-pressure there is.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct HeldFrame {
        let bytes: ByteBuffer
        /// Reserved in the assembly budget while the frame has no room in the request budget.
        let assemblyBytes: Int
    }

    private let shared: ListenerShared
    private let connection: KafkaConnection
    private var context: ChannelHandlerContext?
    private var assembler: FrameAssembler
    private var pipeline: RequestPipeline<KafkaRequest, KafkaResponse>
    /// A complete frame that found no room.
    private var held: HeldFrame?
    private var waitsForBudget = false
    private var readWanted = false
    private var isPumping = false
    private var isDraining = false
    private var flushIsScheduled = false
    private var frameBegan: NIODeadline?
    private var lastActivity: NIODeadline
    private var clock: Scheduled<Void>?
    /// NIO keeps the first buffer (4 KiB) of a connection for further reads, and makes it larger, as long as nobody else holds
    /// it. So we hold it: then every read gets a buffer of its own, of the size that suits it, and none stays behind.
    private var firstRead: ByteBuffer?

    init(shared: ListenerShared, connection: KafkaConnection) {
        self.shared = shared
        self.connection = connection
        let configuration = shared.configuration
        self.assembler = FrameAssembler(
            limitBytes: configuration.effectiveFrameBytesMax, sliceBytesMin: configuration.readBytes / 4)
        self.pipeline = RequestPipeline(
            requestsMax: configuration.requestsInFlightMax, bytesMax: configuration.requestBytesInFlightMax)
        self.lastActivity = connection.eventLoop.now
    }

    // MARK: channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        shared.connectionReady(connection.id) { deadline in
            bound.eventLoop.execute { bound.value.drain(until: deadline) }
        }
        scheduleClock(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) { gone() }

    func channelInactive(context: ChannelHandlerContext) {
        gone()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if firstRead == nil { firstRead = bytes }
        assembler.append(bytes)
        pump()
    }

    func read(context: ChannelHandlerContext) {
        if mayRead(context) { context.read() } else { readWanted = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        lastActivity = context.eventLoop.now
        pump()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        shared.logger.debug("connection \(connection.id) failed: \(error)")
        context.close(promise: nil)
    }

    // MARK: the pump

    /// Moves all that can move: frames into the pipeline, requests to the service, responses to the socket.
    private func pump() {
        // A service may answer before `handle` returns; its answer is then picked up by the loop already running.
        guard !isPumping, let context else { return }
        isPumping = true
        var moved = true
        while moved, self.context != nil {
            let admitted = admitFrames(context)
            let handed = handRequests(context)
            let sent = sendResponses(context)
            moved = admitted || handed || sent
        }
        isPumping = false
        if self.context != nil { afterPump(context) }
    }

    private func afterPump(_ context: ChannelHandlerContext) {
        if isDraining, !pipeline.hasAwaited {
            scheduleFlush(context, thenClose: true)
            return
        }
        let reading = mayRead(context)
        // The time of a frame runs only while the client could send.
        if !assembler.isInsideFrame || !reading { frameBegan = nil }
        if assembler.isInsideFrame, reading, frameBegan == nil { frameBegan = context.eventLoop.now }
        if readWanted, reading {
            readWanted = false
            context.read()
        }
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        !isDraining && held == nil && !waitsForBudget && context.channel.isWritable && pipeline.hasRoom(forBytes: 1)
    }

    private func admitFrames(_ context: ChannelHandlerContext) -> Bool {
        var admitted = false
        while self.context != nil, !isDraining, !waitsForBudget, let frame = held ?? nextFrame(context) {
            held = frame
            guard hasRoom(for: charged(frame.bytes)) else { return admitted }
            roomFound()
            admitted = true
        }
        return admitted
    }

    private func nextFrame(_ context: ChannelHandlerContext) -> HeldFrame? {
        do {
            while true {
                let assemblyBytes = assembler.grantedBytes
                switch try assembler.next() {
                case .frame(let bytes): return HeldFrame(bytes: bytes, assemblyBytes: assemblyBytes)
                case .needsMoreBytes: return nil
                case .needsRoom(let sizeBytes):
                    guard reserve(sizeBytes, in: shared.assemblyBudget, granted: { $0.assembler.roomGranted() }) else {
                        return nil
                    }
                    assembler.roomGranted()
                }
            }
        } catch {
            if case .tooLarge = error { shared.counters.framesTooLarge.count() }
            refuse(context, because: "\(error)")
            return nil
        }
    }

    private func charged(_ frame: ByteBuffer) -> Int {
        shared.configuration.chargedBytes(frameBytes: frame.readableBytes)
    }

    private func hasRoom(for sizeBytes: Int) -> Bool {
        guard pipeline.hasRoom(forBytes: sizeBytes) else { return false }
        return reserve(sizeBytes, in: shared.requestBudget) { $0.roomFound() }
    }

    /// Reserves now, or stops this connection until the budget calls back with the bytes reserved.
    private func reserve(
        _ sizeBytes: Int, in budget: ByteBudget, granted: @escaping @Sendable (ConnectionHandler) -> Void
    ) -> Bool {
        let bound = NIOLoopBound(self, eventLoop: connection.eventLoop)
        let reserved = budget.reserve(sizeBytes) {
            bound.eventLoop.execute {
                let handler = bound.value
                guard handler.context != nil else { return budget.release(sizeBytes) }
                handler.waitsForBudget = false
                granted(handler)
                handler.pump()
            }
        }
        if !reserved {
            waitsForBudget = true
            shared.counters.budgetWaits.count()
        }
        return reserved
    }

    /// The held frame has its bytes in the request budget: it becomes a request.
    private func roomFound() {
        guard let frame = held, let context else { return }
        held = nil
        if frame.assemblyBytes > 0 { shared.assemblyBudget.release(frame.assemblyBytes) }
        accept(frame.bytes, context)
    }

    private func accept(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        let sizeBytes = charged(frame)
        var body = frame
        lastActivity = context.eventLoop.now
        frameBegan = nil
        do {
            let header = try RequestHeader(reading: &body)
            guard let api = shared.versions.api(for: header) else {
                shared.requestBudget.release(sizeBytes)
                return refuse(context, because: "\(header.apiKey.name) version \(header.apiVersion) is not served")
            }
            connection.clientID = header.clientID
            let request = KafkaRequest(
                header: header, body: body, receivedNs: lastActivity.uptimeNanoseconds)
            pipeline.arrived(
                request, sizeBytes: sizeBytes, overlaps: api.overlaps, isAwaited: api.isAwaitedAtShutdown)
            shared.counters.requests.count()
            shared.counters.requestBytes.count(frame.readableBytes)
        } catch {
            shared.requestBudget.release(sizeBytes)
            refuse(context, because: "request header: \(error)")
        }
    }

    private func handRequests(_ context: ChannelHandlerContext) -> Bool {
        var handed = false
        while self.context != nil, context.channel.isWritable, !isDraining, let next = pipeline.nextToHand() {
            handed = true
            hand(next.request, number: next.number, sizeBytes: next.sizeBytes, context)
        }
        return handed
    }

    private func hand(_ request: KafkaRequest, number: Int, sizeBytes: Int, _ context: ChannelHandlerContext) {
        if request.header.apiKey == .apiVersions {
            let answer = Result { try shared.versions.answer(request, on: connection) }
            return answered(number, sizeBytes: sizeBytes, with: answer.map { $0 })
        }
        let answer = shared.service.handle(request, on: connection)
        let bound = NIOLoopBound(self, eventLoop: connection.eventLoop)
        answer.hop(to: connection.eventLoop).whenComplete { result in
            bound.value.answered(number, sizeBytes: sizeBytes, with: result)
        }
    }

    private func answered(_ number: Int, sizeBytes: Int, with result: Result<KafkaResponse?, any Error>) {
        guard let context else {
            if case .success(let response?) = result { response.whenDone?() }
            return shared.requestBudget.release(sizeBytes)
        }
        switch result {
        case .success(let response):
            pipeline.answered(number, with: response)
            pump()
        case .failure(let error):
            pipeline.answered(number, with: nil)
            shared.counters.requestsFailed.count()
            shared.logger.info("closing connection \(connection.id): \(error)", metadata: metadata)
            context.close(promise: nil)
        }
    }

    private func sendResponses(_ context: ChannelHandlerContext) -> Bool {
        var sent = false
        while let next = pipeline.nextToSend() {
            sent = true
            shared.requestBudget.release(next.sizeBytes)
            guard let response = next.response else { continue }
            write(response, context)
        }
        if sent { lastActivity = context.eventLoop.now }
        return sent
    }

    private func write(_ response: KafkaResponse, _ context: ChannelHandlerContext) {
        for chunk in response.chunks { context.write(wrapOutboundOut(chunk), promise: nil) }
        shared.counters.responses.count()
        shared.counters.responseBytes.count(response.sizeBytes)
        if let whenDone = response.whenDone {
            // An empty write completes when all before it have, or fails with the connection.
            context.write(wrapOutboundOut(ByteBuffer())).whenComplete { _ in whenDone() }
        }
        scheduleFlush(context)
    }

    /// One flush, so one writev, for all responses that become ready in the same turn of the event loop.
    private func scheduleFlush(_ context: ChannelHandlerContext, thenClose: Bool = false) {
        guard !flushIsScheduled || thenClose else { return }
        flushIsScheduled = true
        context.eventLoop.assumeIsolated().execute { [self] in
            flushIsScheduled = false
            guard let context = self.context else { return }
            context.flush()
            if thenClose { context.close(promise: nil) }
        }
    }

    // MARK: ends

    private func refuse(_ context: ChannelHandlerContext, because reason: String) {
        shared.counters.protocolErrors.count()
        shared.logger.info("closing connection \(connection.id): \(reason)", metadata: metadata)
        context.close(promise: nil)
    }

    private func gone() {
        guard context != nil else { return }
        context = nil
        clock?.cancel()
        let (freedBytes, unsent) = pipeline.abandon()
        shared.requestBudget.release(freedBytes)
        for response in unsent { response.whenDone?() }
        shared.assemblyBudget.release((held?.assemblyBytes ?? 0) + assembler.grantedBytes)
        held = nil
        // What the service still works on ends with the connection: nobody would take the answers.
        connection.closed()
        shared.connectionGone(connection.id)
    }

    private func drain(until deadline: NIODeadline) {
        guard let context else { return }
        isDraining = true
        context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [self] in
            self.context?.close(promise: nil)
        }
        pump()
    }

    private func scheduleClock(_ context: ChannelHandlerContext) {
        let shortest = min(shared.configuration.frameTimeout, shared.configuration.idleTimeout)
        let interval = TimeAmount.nanoseconds(max(1_000_000, shortest.nanoseconds / 2))
        clock = context.eventLoop.assumeIsolated().scheduleTask(in: interval) { [self] in
            guard let context = self.context else { return }
            checkTimes(context)
            if self.context != nil { scheduleClock(context) }
        }
    }

    private func checkTimes(_ context: ChannelHandlerContext) {
        let now = context.eventLoop.now
        if let frameBegan, now - frameBegan >= shared.configuration.frameTimeout {
            shared.counters.framesTooSlow.count()
            context.close(promise: nil)
        } else if now - lastActivity >= shared.configuration.idleTimeout,
            pipeline.isEmpty || !context.channel.isWritable
        {
            shared.counters.connectionsIdle.count()
            context.close(promise: nil)
        }
    }

    private var metadata: Logger.Metadata {
        ["peer": "\(connection.peer?.description ?? "unknown")", "client": "\(connection.clientID ?? "")"]
    }
}
