// Package demo holds the goods, the people and the opinions of the demo shop. All of it is made up.
package demo

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
)

//go:embed goods.yml people.yml
var files embed.FS

// A Shop is everything the demo shop begins with.
type Shop struct {
	Version    string // differs when anything in it differs
	Password   string
	Accounts   []Account
	Buyers     []Buyer
	Warehouses []Warehouse
	Products   []Product
	Opinions   map[string][]Opinion // by family
}

// An Account is somebody who can sign in; Role is SELLER, STAFF or "".
type Account struct{ Email, Name, Role string }

// A Buyer is an account that buys, and where it lives.
type Buyer struct {
	Email   string
	Address Address
}

// An Address is where a buyer lives.
type Address struct {
	Name    string `json:"name"`
	Line1   string `json:"line1"`
	City    string `json:"city"`
	Region  string `json:"region"`
	Pincode string `json:"pincode"`
	Country string `json:"country"`
	Phone   string `json:"phone,omitempty"`
}

// A Warehouse is where goods are kept.
type Warehouse struct {
	Code      string  `json:"code"`
	Name      string  `json:"name"`
	Country   string  `json:"country"`
	Pincode   string  `json:"pincode"`
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// An Opinion is what a buyer may think of goods of a family.
type Opinion struct {
	Stars int
	Title string
	Body  string
}

// A Product is goods of the shop with all variants.
type Product struct {
	ID          string
	Family      string
	Path        []string // of its category
	Title       string
	Brand       string
	Description string
	Colour      string // of its picture
	Attributes  []Attribute
	Variants    []Variant
	Stock       int // units of each variant
}

// An Attribute is something known of a product.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Unit  string `json:"unit,omitempty"`
}

// A Variant is what exactly can be bought. Amounts are in US dollars.
type Variant struct {
	SKU           string
	Price, Before string // Before is "" when it never cost more
	Options       []Option
	WeightGrams   int
}

// An Option is a choice that a variant stands for.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const plenty = 200 // units of a variant that nothing is said of

// Load reads the shop.
func Load() (*Shop, error) {
	goods, err := files.ReadFile("goods.yml")
	if err != nil {
		return nil, err
	}
	people, err := files.ReadFile("people.yml")
	if err != nil {
		return nil, err
	}
	var s Shop
	if err := yaml.UnmarshalWithOptions(people, &s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("people.yml: %w", err)
	}
	var families []family
	if err := yaml.UnmarshalWithOptions(goods, &families, yaml.Strict(), yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("goods.yml: %w", err)
	}
	for _, f := range families {
		for _, g := range f.Products {
			p, err := f.product(g)
			if err != nil {
				return nil, fmt.Errorf("goods.yml: %s: %w", g.ID, err)
			}
			s.Products = append(s.Products, p)
		}
	}
	sum := sha256.Sum256(append(goods, people...))
	s.Version = hex.EncodeToString(sum[:8])
	return &s, nil
}

// sku writes a variant's options behind its product's id.
func sku(id string, options []Option) string {
	for _, o := range options {
		id += "-" + strings.ToUpper(strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, strings.ReplaceAll(o.Value, "×", "X")))
	}
	return id
}
