// GNSS
