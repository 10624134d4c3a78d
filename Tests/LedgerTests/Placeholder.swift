// tests of Ledger
