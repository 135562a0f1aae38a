// Package cairn is the product's vocabulary: organizations, repositories, refs,
// packs, events, actors, and the two contracts, Metadata and Bucket, that every
// storage driver fulfils. Its rule is that it decides nothing: values check
// themselves when they are parsed, and what may be done with them is said in
// package service. It imports only Git's data model.
package cairn
