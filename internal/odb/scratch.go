package odb

import "os"

// Scratch opens a new file for bytes of one request that do not fit into
// memory. The caller closes it and removes its name; what a crash leaves is
// removed by the next Open.
func (s *Store) Scratch() (*os.File, error) { return s.scratch() }
