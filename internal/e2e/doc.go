// Package e2e tests the built binary as its users meet it: real processes,
// real signals, stock git and plain HTTP. It holds what cannot be seen from
// inside one process: that nothing acknowledged is lost when the server is
// killed, and that what many clients see of one branch is one history. It is
// for tests alone.
package e2e
