// tests of Uplink
