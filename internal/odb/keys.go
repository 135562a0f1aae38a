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
// and its items are stem + ".pack", stem + ".idx" and, if the pack has
// sidecars, stem + ".closure" and stem + ".graph". The nonce makes
// every upload a new key: a pack that dies and a new one of the same content
// can then never meet under one key, whatever the order of their deletion and
// creation.
const (
	packsPrefix   = "packs/"
	packSuffix    = ".pack"
	indexSuffix   = ".idx"
	closureSuffix = ".closure"
	graphSuffix   = ".graph"
)

// itemSuffixes are those of all items that a pack may have.
var itemSuffixes = []string{packSuffix, indexSuffix, closureSuffix, graphSuffix}

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
	for _, suffix := range itemSuffixes {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			pack, _, ok := strings.Cut(stem, "-")
			return cairn.OrganizationID(owner), cairn.PackID(pack), packsPrefix + owner + "/" + stem, ok
		}
	}
	return "", "", "", false
}
