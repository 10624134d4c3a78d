// tests of GNSS
