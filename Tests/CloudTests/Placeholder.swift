// tests of Cloud
