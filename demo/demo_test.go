package demo

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"testing"
)

func TestLoad(t *testing.T) {
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	families, skus, low, out := map[string]bool{}, map[string]bool{}, 0, 0
	for _, p := range s.Products {
		families[p.Family] = true
		if len(p.Attributes) < 3 || p.Title == "" || p.Description == "" || p.Brand == "" {
			t.Errorf("%s is not described", p.ID)
		}
		if len(s.Opinions[p.Family]) == 0 {
			t.Errorf("nobody thinks anything of %s", p.Family)
		}
		switch {
		case p.Stock == 0:
			out++
		case p.Stock <= 5:
			low++
		}
		for _, v := range p.Variants {
			if skus[v.SKU] || len(v.SKU) > 64 || v.WeightGrams < 1 {
				t.Errorf("%s: SKU %s, %d g", p.ID, v.SKU, v.WeightGrams)
			}
			skus[v.SKU] = true
		}
		for d := xml.NewDecoder(bytes.NewReader(p.Picture())); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", p.ID, err)
			}
		}
	}
	if len(s.Products) < 60 || len(families) < 8 || low < 5 || out < 3 || len(s.Warehouses) < 4 {
		t.Errorf("%d products in %d families, %d low, %d out, %d warehouses", len(s.Products), len(families), low, out, len(s.Warehouses))
	}
	for _, b := range s.Buyers {
		if !slices.ContainsFunc(s.Accounts, func(a Account) bool { return a.Email == b.Email }) {
			t.Errorf("%s has no account", b.Email)
		}
	}
	t.Logf("%d products, %d variants, %d families", len(s.Products), len(skus), len(families))
}
