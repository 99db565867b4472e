package flashsale_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// What was published once has to come out the same for ever, by whatever program: here by
// printf tkt_01JD3V2K8Q0000000000000001 | openssl dgst -sha256 -mac HMAC -macopt hexkey:00…00: its first 16 digits, without the highest bit.
func TestALotIsWhatTheSchemaSays(t *testing.T) {
	seed := make([]byte, 32)
	for ticket, want := range map[string]int64{
		"tkt_01JD3V2K8Q0000000000000001": 0x16cb875717b70703,
		"tkt_01JD3V2K8Q0000000000000002": 0x564c14838cdb0da8,
	} {
		if lot := flashsale.Lot(seed, ticket); lot != want {
			t.Errorf("%s drew %d, want %d", ticket, lot, want)
		}
	}
	if hash := flashsale.SeedHash(seed); hash != "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925" {
		t.Error(hash)
	}
}

func TestADrawThatWasNotIsFoundOut(t *testing.T) {
	seed := sha256.Sum256([]byte("a seed"))
	var tickets []string
	for range 1000 {
		tickets = append(tickets, id.New(id.Ticket))
	}
	drawn := flashsale.Draw(seed[:], tickets)
	if slices.Equal(drawn, tickets) || !slices.IsSortedFunc(drawn, func(a, b string) int { return int(flashsale.Lot(seed[:], a)>>32 - flashsale.Lot(seed[:], b)>>32) }) {
		t.Error("nothing was drawn")
	}
	promised, told := flashsale.SeedHash(seed[:]), hex.EncodeToString(seed[:])
	if err := flashsale.VerifyDraw(promised, told, drawn); err != nil {
		t.Error(err)
	}
	favoured := slices.Clone(drawn)
	favoured[0], favoured[500] = favoured[500], favoured[0]
	another := sha256.Sum256([]byte("a luckier seed"))
	for name, err := range map[string]error{
		"somebody went before":   flashsale.VerifyDraw(promised, told, favoured),
		"a seed chosen later":    flashsale.VerifyDraw(promised, hex.EncodeToString(another[:]), flashsale.Draw(another[:], tickets)),
		"a seed that is none":    flashsale.VerifyDraw(promised, "seed", drawn),
		"a promise that is none": flashsale.VerifyDraw("", told, drawn),
	} {
		if err == nil {
			t.Errorf("%s: not found out", name)
		}
	}
}

// Nobody is favoured for coming early: the first hundred of a thousand are as often in the front half as anybody.
func TestSpeedBuysNothing(t *testing.T) {
	seed := sha256.Sum256([]byte("another seed"))
	var tickets []string
	for range 10_000 {
		tickets = append(tickets, id.New(id.Ticket))
	}
	early := map[string]bool{}
	for _, ticket := range tickets[:1000] {
		early[ticket] = true
	}
	front := 0
	for _, ticket := range flashsale.Draw(seed[:], tickets)[:5000] {
		if early[ticket] {
			front++
		}
	}
	if front < 400 || front > 600 { // six standard deviations
		t.Errorf("%d of the first 1,000 are in the front half", front)
	}
}
