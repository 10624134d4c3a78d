// swift-tools-version: 6.2
import PackageDescription

// The log alone with its bench, built from the same sources as the product: `swift run -c release --package-path bench/wal`.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")

let package = Package(
    name: "wal-bench",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "CChecksum", cSettings: [.unsafeFlags(["-O2"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .target(name: "CUring", linkerSettings: [.linkedLibrary("uring")]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(
            name: "KafkaProtocol", dependencies: ["CChecksum", "CZstd", nioCore], exclude: ["README.md"],
            swiftSettings: settings),
        .target(
            name: "WriteAheadLog",
            dependencies: [
                "KafkaProtocol", "CChecksum", "CUring", "CSQLite", nioCore,
                .product(name: "Logging", package: "swift-log"),
                .product(name: "DequeModule", package: "swift-collections"),
            ], exclude: ["README.md"], swiftSettings: settings),
        .executableTarget(
            name: "WALBench", dependencies: ["WriteAheadLog", "KafkaProtocol", nioCore], path: "WALBench",
            swiftSettings: settings),
    ]
)
