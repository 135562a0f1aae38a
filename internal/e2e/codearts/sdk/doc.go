// Package sdk holds the test of the CodeArts Repo face with its official SDK for
// Go.
package sdk
