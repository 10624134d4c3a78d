// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// Products of other packages, by the name they have in this file.
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")

/// One module of ours and, where it has one, its test target: `Sources/<name>` and `Tests/<name>Tests`.
func module(
    _ name: String, _ dependencies: [Target.Dependency], tests: [Target.Dependency]? = [],
    exclude: [String] = ["README.md"]
) -> [Target] {
    let library = Target.target(
        name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
    guard let tests else { return [library] }
    return [
        library,
        .testTarget(
            name: name + "Tests", dependencies: [.target(name: name)] + dependencies + tests,
            swiftSettings: swiftSettings),
    ]
}

/// Thin shims over system libraries and CPU instructions.
let shims: [Target] = [
    .target(name: "CChecksum", cSettings: [.unsafeFlags(["-O2"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CMalloc"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CSnappy", pkgConfig: "snappy", providers: [.apt(["libsnappy-dev"])]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .target(name: "CCrypto", linkerSettings: [.linkedLibrary("crypto")]),
]

let modules: [[Target]] = [
    module("KafkaProtocol", ["CChecksum", "CZstd", "CZlib", "CSnappy", "CLZ4", nioCore]),
    module(
        "KafkaListener", ["KafkaProtocol", nioCore, nioPosix, nioConcurrency, logging, deque],
        tests: [nioEmbedded]),
    module("GroupCoordination", ["KafkaProtocol", "KafkaListener", nioCore]),
    module("GNSS", [nioCore]),
    module(
        "WriteAheadLog",
        ["SmallFiles", "Sealing", "KafkaProtocol", "CChecksum", "CUring", "CSQLite", nioCore, logging, deque]),
    module("SharedObject", ["KafkaProtocol", "CChecksum", nioCore]),
    module("SmallFiles", [], exclude: []),
    module("Sealing", ["CCrypto", "CChecksum", nioCore]),
    module("TransportTLS", ["SmallFiles", "CCrypto", nioCore, nioSSL], exclude: []),
    module(
        "ObjectStore",
        [
            "Sealing", "TransportTLS", "CCrypto", "CChecksum", nioCore, nioPosix, nioHTTP1, nioSSL, httpClient,
            logging,
        ]),
    module("SiteAuthority", ["CCrypto", nioCore]),
    module("Ledger", ["KafkaProtocol", "CSQLite", "CChecksum", nioCore, logging]),
    module(
        "Uplink",
        [
            "WriteAheadLog", "SharedObject", "ObjectStore", "SiteAuthority", "TransportTLS", "KafkaProtocol",
            "CZstd",
            "CChecksum", nioCore, nioHTTP1,
            httpClient, logging,
        ], tests: ["Sealing"]),
    module(
        "Edge",
        [
            "WriteAheadLog", "KafkaProtocol", "KafkaListener", "GroupCoordination", "GNSS", "CChecksum", nioCore,
            nioPosix, nioConcurrency, logging,
        ],
        tests: [nioEmbedded], exclude: ["README.md", "Intake/README.md"]),
    module(
        "Cloud",
        [
            "KafkaProtocol", "KafkaListener", "GroupCoordination", "Ledger", "SharedObject", "ObjectStore",
            "Sealing", "SiteAuthority",
            "WriteAheadLog", nioCore, nioPosix, nioConcurrency, logging, deque,
        ], tests: [nioEmbedded], exclude: ["README.md", "Housekeeping/README.md"]),
    module(
        "Console", [hummingbird, hummingbirdCore, lifecycle, logging, nioCore, nioSSL], tests: nil, exclude: []),
]

let programs: [Target] = [
    .executableTarget(
        name: "Appliance",
        dependencies: [
            "Edge", "Uplink", "Cloud", "Console", "Ledger", "SharedObject", "ObjectStore", "Sealing",
            "SiteAuthority", "SmallFiles", "TransportTLS",
            "WriteAheadLog", "KafkaProtocol", "KafkaListener", "GroupCoordination", "GNSS", "CCrypto",
            "CMalloc",
            "CUring", "CZstd",
            argumentParser, configuration, lifecycle, unixSignals,
            logging,
            httpClient, nioCore, nioPosix, nioHTTP1, nioSSL, yams, systemPackage,
        ],
        swiftSettings: swiftSettings),
    .executableTarget(
        name: "wal-bench", dependencies: ["WriteAheadLog", "Sealing", "KafkaProtocol", nioCore],
        path: "bench/wal",
        swiftSettings: swiftSettings),
    .testTarget(name: "ApplianceTests", dependencies: ["Appliance", "Uplink"], swiftSettings: swiftSettings),
    .testTarget(
        name: "Simulation",
        dependencies: [
            "WriteAheadLog", "Uplink", "SiteAuthority", "SharedObject", "ObjectStore", "Sealing", "Ledger", "Cloud",
            "KafkaProtocol", nioCore, logging,
        ], path: "Tests/Simulation", exclude: ["README.md"], swiftSettings: swiftSettings),
]

let package = Package(
    name: "cairn",
    products: [
        .executable(name: "cairn", targets: ["Appliance"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(
            url: "https://github.com/apple/swift-configuration", from: "1.4.0",
            traits: [.defaults, "YAML", "CommandLineArguments"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    ],
    targets: shims + modules.flatMap { $0 } + programs
)
