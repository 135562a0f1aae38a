package sqlite

// OpenEmpty is for tests of durable databases that are not about migrations.
var OpenEmpty = openEmpty
