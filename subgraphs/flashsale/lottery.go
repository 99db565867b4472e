package flashsale

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

const seedSize = 32

// newSeed returns what will draw the lots of a sale: chosen before anybody can join, told only when the draw has been made.
func newSeed() []byte {
	seed := make([]byte, seedSize)
	rand.Read(seed) // never fails: the process would end
	return seed
}

// SeedHash is what is published of a seed before the draw.
func SeedHash(seed []byte) string {
	sum := sha256.Sum256(seed)
	return hex.EncodeToString(sum[:])
}

// Lot returns what a ticket draws under a seed: the first eight bytes, without their highest bit, of HMAC-SHA256 with the seed as key
// over the ticket's id.
func Lot(seed []byte, ticketID string) int64 {
	mac := hmac.New(sha256.New, seed)
	mac.Write([]byte(ticketID))
	return int64(binary.BigEndian.Uint64(mac.Sum(nil)) &^ (1 << 63))
}

// Draw returns tickets in the order in which a seed lets them in: the lowest lot first, equal lots by their ids.
func Draw(seed []byte, ticketIDs []string) []string {
	drawn := slices.Clone(ticketIDs)
	lots := make(map[string]int64, len(drawn))
	for _, t := range drawn {
		lots[t] = Lot(seed, t)
	}
	slices.SortFunc(drawn, func(a, b string) int { return cmp.Or(cmp.Compare(lots[a], lots[b]), cmp.Compare(a, b)) })
	return drawn
}

// VerifyDraw does what a stranger does who was told a hash before a draw and a seed after it, and sees the order in which tickets
// were let in: it returns nil when the seed is the one that was promised and the order is what it makes.
func VerifyDraw(seedHash, seed string, drawn []string) error {
	key, err := hex.DecodeString(seed)
	if err != nil {
		return fmt.Errorf("the seed: %w", err)
	}
	promised, err := hex.DecodeString(seedHash)
	if err != nil {
		return fmt.Errorf("the seed's hash: %w", err)
	}
	if sum := sha256.Sum256(key); !bytes.Equal(sum[:], promised) {
		return errors.New("the seed is not the one that was promised")
	}
	for i, t := range Draw(key, drawn) {
		if t != drawn[i] {
			return fmt.Errorf("place %d is %s's, and was given to %s", i+1, t, drawn[i])
		}
	}
	return nil
}
