package gate_test

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/clients/turnstile"
	"github.com/souk-shop/souk/clients/turnstile/fake"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/once"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
	"github.com/souk-shop/souk/subgraphs/flashsale/gate"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const sale, ann = "sale_1", "acc_ann"

func TestPolicies(t *testing.T) {
	t.Parallel()
	const (
		passes = ""
		fails  = string(fault.Conflict)
		later  = string(fault.Unavailable)
	)
	for _, policy := range []gate.Policy{gate.Either, gate.Both} {
		theirs := fake.New("secret")
		served := httptest.NewServer(theirs)
		defer served.Close()
		setup := func() *gate.Gate {
			g, err := gate.New(altcha.New(once.NewMemory(clock.Hold(noon)), []byte("a secret")),
				turnstile.New(turnstile.Config{Secret: "secret", URL: served.URL}), policy, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		person := func(action, data string) string {
			return gate.Prefix + theirs.Give(turnstile.Verdict{Action: action, Data: data})
		}
		work := func(g *gate.Gate) string {
			set, err := g.Issue(sale, ann, 100, noon)
			if err != nil {
				t.Fatal(err)
			}
			payload, err := altcha.Solve(t.Context(), set)
			if err != nil {
				t.Fatal(err)
			}
			return payload
		}
		want := func(either, both string) string {
			if policy == gate.Both {
				return both
			}
			return either
		}
		for _, c := range []struct {
			name    string
			payload func(g *gate.Gate) string
			away    bool
			want    string
		}{
			{"nothing", func(*gate.Gate) string { return "" }, false, fails},
			{"work", work, false, want(passes, fails)},
			{"a person", func(*gate.Gate) string { return person(sale, ann) }, false, want(passes, fails)},
			{"both", func(g *gate.Gate) string { return work(g) + "," + person(sale, ann) }, false, passes},
			{"both, the other way round", func(g *gate.Gate) string { return person(sale, ann) + "," + work(g) }, false, passes},
			{"a person for another sale", func(g *gate.Gate) string { return work(g) + "," + person("sale_2", ann) }, false, fails},
			{"another person", func(g *gate.Gate) string { return work(g) + "," + person(sale, "acc_bob") }, false, fails},
			{"nobody", func(g *gate.Gate) string { return work(g) + "," + gate.Prefix + "x" }, false, fails},
			{"bad work and a person", func(*gate.Gate) string { return "eyJ9," + person(sale, ann) }, false, want(passes, fails)},
			{"work, while Turnstile is away", work, true, want(passes, fails)},
			{"a person, while Turnstile is away", func(*gate.Gate) string { return person(sale, ann) }, true, want(later, fails)},
			{"both, while Turnstile is away", func(g *gate.Gate) string { return work(g) + "," + person(sale, ann) }, true, passes},
			{"bad work and a person, while Turnstile is away", func(*gate.Gate) string { return "eyJ9," + person(sale, ann) }, true, fails},
		} {
			t.Run(string(policy)+", "+c.name, func(t *testing.T) {
				g := setup()
				payload := c.payload(g)
				asked := theirs.Asked()
				if c.away {
					theirs.Next(fake.Fails, fake.Fails)
				}
				err := g.Verify(t.Context(), sale, ann, payload, noon)
				if c.want == passes && err != nil || c.want != passes && (err == nil || string(fault.KindOf(err)) != c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if c.want == fails && !errors.Is(err, flashsale.ErrChallengeFailed) {
					t.Errorf("%v", err)
				}
				for c.away && theirs.Asked() < asked+2 { // use the mishaps up
					g.Verify(t.Context(), sale, ann, gate.Prefix+"x,y", noon)
				}
				if c.want == passes && !c.away {
					if err := g.Verify(t.Context(), sale, ann, payload, noon); !errors.Is(err, flashsale.ErrChallengeFailed) {
						t.Errorf("again: %v", err)
					}
				}
			})
		}
	}
}

func TestAnUnknownPolicy(t *testing.T) {
	t.Parallel()
	if _, err := gate.New(nil, nil, "none", nil); err == nil || !strings.Contains(err.Error(), "either or both") {
		t.Error(err)
	}
}
