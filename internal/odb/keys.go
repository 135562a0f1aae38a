package odb

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// The whole key layout of the Bucket. A pack's stem is
//
//	packs/<organization>/<pack id>-<nonce>
//
// and its two items are stem + ".pack" and stem + ".idx". The nonce makes
// every upload a new key: a pack that dies and a new one of the same content
// can then never meet under one key, whatever the order of their deletion and
// creation.
const (
	packsPrefix = "packs/"
	packSuffix  = ".pack"
	indexSuffix = ".idx"
)

func newPackStem(org cairn.OrganizationID, id cairn.PackID) string {
	var nonce [6]byte
	rand.Read(nonce[:])
	return packsPrefix + string(org) + "/" + string(id) + "-" + hex.EncodeToString(nonce[:])
}

// parsePackKey is the inverse: it tells whose pack an item of the Bucket
// belongs to; ok is false for keys that are none of ours.
func parsePackKey(key string) (org cairn.OrganizationID, id cairn.PackID, stem string, ok bool) {
	rest, ok := strings.CutPrefix(key, packsPrefix)
	if !ok {
		return "", "", "", false
	}
	owner, name, ok := strings.Cut(rest, "/")
	if !ok {
		return "", "", "", false
	}
	name, isPack := strings.CutSuffix(name, packSuffix)
	if !isPack {
		if name, ok = strings.CutSuffix(name, indexSuffix); !ok {
			return "", "", "", false
		}
	}
	pack, _, ok := strings.Cut(name, "-")
	return cairn.OrganizationID(owner), cairn.PackID(pack), packsPrefix + owner + "/" + name, ok
}
