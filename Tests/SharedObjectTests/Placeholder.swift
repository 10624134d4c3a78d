// tests of SharedObject
