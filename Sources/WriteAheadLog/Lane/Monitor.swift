import CUring
import Glibc

/// A value with a lock and a condition: threads wait for it to change, with a deadline of the monotonic clock.
final class Monitor<Value>: @unchecked Sendable {  // `value` is only touched with the lock held.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var value: Value

    init(_ value: Value) {
        self.value = value
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(lock)
        condition.deallocate()
        lock.deallocate()
    }

    func withLock<T>(_ body: (inout Value) -> T) -> T {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body(&value)
    }

    /// Changes the value and wakes the waiting thread when `body` says so.
    func change<T>(_ body: (inout Value) -> (T, wake: Bool)) -> T {
        pthread_mutex_lock(lock)
        let (result, wake) = body(&value)
        pthread_mutex_unlock(lock)
        if wake { pthread_cond_signal(condition) }
        return result
    }

    enum Step<T> {
        case done(T)
        /// Wait for a change, at most until this monotonic time in nanoseconds; nil for ever.
        case wait(untilNs: UInt64?)
    }

    /// Asks `body` again after each change until it is done.
    func wait<T>(_ body: (inout Value) -> Step<T>) -> T {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while true {
            switch body(&value) {
            case .done(let result): return result
            case .wait(nil): pthread_cond_wait(condition, lock)
            case .wait(let deadline?):
                var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
                pthread_cond_timedwait(condition, lock, &time)
            }
        }
    }
}

/// The monotonic clock, for the threads of this module only; everything else is handed its times.
func monotonicNow() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension Duration {
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) &* 1_000_000_000 &+ UInt64(max(0, attoseconds)) / 1_000_000_000
    }
}

/// A thread with a name that runs `body` once.
struct WorkerThread: @unchecked Sendable {  // A pthread_t is a number; joining is done once, by the owner.
    private let thread: pthread_t

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    init(name: String, _ body: @escaping @Sendable () -> Void) throws(WALError) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                cairn_name_thread(String(start.name.prefix(15)))
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw .diskFailed("no thread: \(describe(errno: code))")
        }
        self.thread = thread
    }

    func join() { pthread_join(thread, nil) }

    var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }
}
