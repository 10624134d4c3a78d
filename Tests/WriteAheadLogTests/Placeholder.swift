// tests of WriteAheadLog
