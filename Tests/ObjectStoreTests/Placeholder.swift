// tests of ObjectStore
