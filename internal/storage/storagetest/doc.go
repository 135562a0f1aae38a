// Package storagetest defines the contracts cairn.Metadata and cairn.Bucket:
// a driver is one if TestMetadata or TestBucket passes. Its rule is that every
// sentence of the contracts has an example here, and that nothing is asked of
// a driver which the contracts do not say. It also holds the faulty stores
// with which the packages above test what they do on bad days.
package storagetest
