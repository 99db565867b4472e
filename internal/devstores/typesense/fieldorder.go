package typesense

import (
	"encoding/binary"
	"slices"
)

// fieldBuckets is the number of buckets Typesense's schema table starts with.
const fieldBuckets = 32

// inCheckOrder sorts fields as Typesense walks them when it looks for what is wrong with a document: by the bucket of
// their name's hash, so that of several missing fields the same one is named.
func inCheckOrder(fields []*field) []*field {
	out := slices.Clone(fields)
	slices.SortStableFunc(out, func(a, b *field) int {
		return int(nameHash(a.Name)%fieldBuckets) - int(nameHash(b.Name)%fieldBuckets)
	})
	return out
}

// nameHash is MurmurHash64A, the hash of a string in GNU's C++ library.
func nameHash(s string) uint64 {
	const mul, seed = 0xc6a4a7935bd1e995, 0xc70f6907
	mix := func(v uint64) uint64 { return v ^ v>>47 }
	h := seed ^ uint64(len(s))*mul
	b := []byte(s)
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ mix(binary.LittleEndian.Uint64(b)*mul)*mul) * mul
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	return mix(mix(h) * mul)
}
