import FoundationEssentials
import SiteAuthority

/// What tells one machine from another: the identifier that the system was installed with and, on boards that have one,
/// the serial number burnt in. Only what every user may read, so that it does not change with who starts the gateway.
public enum MachineFingerprint {
    static let files = ["/etc/machine-id", "/sys/firmware/devicetree/base/serial-number"]

    /// 16 hexadecimal digits; empty where no file says anything (in many containers).
    public static func read(_ paths: [String]? = nil) -> String {
        let texts = (paths ?? files).map { path in
            let data = (try? Data(contentsOf: URL(filePath: path))) ?? Data()
            return String(decoding: data.prefix(256).filter { $0 > 0x20 }, as: UTF8.self)
        }
        guard texts.contains(where: { !$0.isEmpty }) else { return "" }
        let text = texts.joined(separator: "\n")
        return MessageCode.hexadecimal(MessageCode.hmac(key: Array("cairn machine v1".utf8), text).prefix(8))
    }
}
