package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/secret"
)

// The names in a data directory.
const (
	lockName       = "lock"
	adminTokenName = "admin-token"
	secretKeyName  = "secret-key"
	addressName    = "address"
	databaseName   = "cairn.db"
	bucketName     = "bucket"
	scratchName    = "scratch"
	tlsName        = "tls"
)

// dataDir is a data directory that this process alone uses.
type dataDir struct {
	path string
	lock *os.File
	// lockedAt is when the lock was taken, by the file system's clock.
	lockedAt time.Time
}

// openDataDir makes the directory if there is none and takes its lock, which
// ends with the process whatever happens.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	name := filepath.Join(path, lockName)
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := lockFile(lock); err != nil {
		holder, _ := os.ReadFile(name)
		return nil, errors.Join(lockError(err, path, strings.TrimSpace(string(holder))), lock.Close())
	}
	d := &dataDir{path: path, lock: lock}
	// Who holds it is for people; that it is held is what counts.
	if err := lock.Truncate(0); err == nil {
		_, err = fmt.Fprintf(lock, "%d\n", os.Getpid())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("data directory: %w", err), d.close())
		}
	}
	info, err := lock.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data directory: %w", err), d.close())
	}
	d.lockedAt = info.ModTime()
	return d, nil
}

func lockError(err error, path, holder string) error {
	if !errors.Is(err, errLocked) {
		return fmt.Errorf("data directory %s cannot be locked: %w", path, err)
	}
	if holder != "" {
		holder = " (process " + holder + ")"
	}
	return fmt.Errorf("data directory %s is in use by another cairn%s; stop that one or choose another directory with --data", path, holder)
}

func (d *dataDir) close() error {
	err := os.Remove(d.file(addressName))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, unlockFile(d.lock), d.lock.Close())
}

func (d *dataDir) file(name ...string) string {
	return filepath.Join(append([]string{d.path}, name...)...)
}

// adminToken returns the token in the directory, making one at the first start.
func (d *dataDir) adminToken() (string, error) {
	path := d.file(adminTokenName)
	token, err := privateText(path, func() string {
		var secret [32]byte
		rand.Read(secret[:])
		return "cairn_admin_" + base64.RawURLEncoding.EncodeToString(secret[:])
	})
	if err == nil && token == "" {
		err = fmt.Errorf("%s is empty; remove it and the next start makes a new token", path)
	}
	return token, err
}

// secretKeys returns the keys that seal stored secrets, making one at the
// first start.
func (d *dataDir) secretKeys() (*secret.Keyring, error) {
	path := d.file(secretKeyName)
	text, err := privateText(path, secret.NewKey)
	if err != nil {
		return nil, err
	}
	keys, err := secret.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// privateText reads a file of a line or a few; where there is none it makes one.
func privateText(path string, initial func() string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		made := initial()
		return made, writePrivate(path, []byte(made+"\n"))
	}
	return strings.TrimSpace(string(text)), err
}

// writePrivate writes a file that only its owner may read, all or nothing.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
