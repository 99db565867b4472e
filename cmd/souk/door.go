package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/souk-shop/souk/clients/turnstile"
	"github.com/souk-shop/souk/internal/once"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/admission"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
	"github.com/souk-shop/souk/subgraphs/flashsale/gate"
)

// door makes what stands at the door of a waiting room: who sets and checks challenges, and who signs admissions. Processes with the
// same secrets are one; with a Redis in common, what was spent at one of them is spent at all.
func (e *env) door() (flashsale.Challenger, flashsale.Tokens, error) {
	forChallenges, err := e.flashSaleSecrets("challenges")
	if err != nil {
		return nil, nil, err
	}
	forAdmissions, err := e.flashSaleSecrets("admissions")
	if err != nil {
		return nil, nil, err
	}
	spent, err := e.once()
	if err != nil {
		return nil, nil, err
	}
	var challenges flashsale.Challenger = altcha.New(spent, forChallenges...)
	if secret := e.get("SOUK_TURNSTILE_SECRET"); secret != "" {
		visitors := turnstile.New(turnstile.Config{Secret: secret})
		if challenges, err = gate.New(challenges, visitors, gate.Policy(e.get("SOUK_TURNSTILE_POLICY")), e.log); err != nil {
			return nil, nil, fmt.Errorf("SOUK_TURNSTILE_POLICY: %w", err)
		}
	}
	return challenges, admission.New(forAdmissions...), nil
}

// once opens where it is noted what was used.
func (e *env) once() (once.Store, error) {
	shared, err := e.redis()
	if err != nil {
		return nil, err
	}
	if shared == nil {
		return once.NewMemory(e.clock), nil
	}
	return once.NewRedis(shared, e.clock), nil
}

// flashSaleSecrets returns the keys for a purpose: of SOUK_FLASHSALE_SECRETS, or else of the passport key. The first signs.
func (c config) flashSaleSecrets(purpose string) ([][]byte, error) {
	var masters []string
	if given := c.get("SOUK_FLASHSALE_SECRETS"); given != "" {
		masters = strings.Split(given, ",")
	} else {
		passport, err := c.passportKey()
		if err != nil {
			return nil, err
		}
		masters = []string{string(passport)}
	}
	var keys [][]byte
	for _, m := range masters {
		if m = strings.TrimSpace(m); len(m) < 32 {
			return nil, errors.New("SOUK_FLASHSALE_SECRETS: one of them has fewer than 32 characters")
		}
		key, err := hkdf.Key(sha256.New, []byte(m), nil, "souk flashsale "+purpose, 32)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
