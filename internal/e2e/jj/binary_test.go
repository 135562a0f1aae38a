package jj

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Where the program of jj 0.35.0 lies in a file of the npm package
// agentic-jujutsu 2.3.6, which carries it for linux/amd64. Debian has no
// package of jj, and its own releases are not in any registry.
const (
	carrier       = "node_modules/package/agentic-jujutsu.linux-x64-gnu.node"
	programOffset = 0x1f0cf
	programSize   = 25444768
	programSHA256 = "1f2626bc89f497255ab035fe444ee7b1bb0070799876007559378a62d3a6e9dd"
)

var program struct {
	once sync.Once
	data []byte
	err  error
}

// installJJ writes the program to a directory of the test and returns its path.
func installJJ(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("jj can be had for linux/amd64 only")
	}
	program.once.Do(func() { program.data, program.err = readProgram() })
	if program.err != nil {
		t.Fatalf("jj is not installed: run `make test-deps`: %v", program.err)
	}
	if sum := sha256.Sum256(program.data); hex.EncodeToString(sum[:]) != programSHA256 {
		t.Fatalf("what is in the package is not jj 0.35.0: SHA-256 %x", sum)
	}
	path := filepath.Join(t.TempDir(), "jj")
	if err := os.WriteFile(path, program.data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func readProgram() ([]byte, error) {
	f, err := os.Open(carrier)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, programSize)
	_, err = f.ReadAt(data, programOffset)
	return data, err
}
