package demo

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/shopspring/decimal"
)

// A family is goods of a kind, as goods.yml writes them.
type family struct {
	Family   string
	Path     []string
	Weight   int
	Units    map[string]string // of attributes
	Products []goods
}

type goods struct {
	ID, Title, Brand, Text string
	Price, Was             string
	About                  yaml.MapSlice
	Colour                 string
	Stock                  *int
	Variants               yaml.MapSlice // name of an option: its values
	More                   map[string]string
}

func (f family) product(g goods) (Product, error) {
	p := Product{
		ID: g.ID, Family: f.Family, Path: f.Path, Title: g.Title, Brand: g.Brand, Description: g.Text, Colour: g.Colour, Stock: plenty,
	}
	if g.Stock != nil {
		p.Stock = *g.Stock
	}
	for _, a := range g.About {
		key := fmt.Sprint(a.Key)
		p.Attributes = append(p.Attributes, Attribute{key, fmt.Sprint(a.Value), f.Units[key]})
	}
	combinations := [][]Option{nil}
	for _, option := range g.Variants {
		values, ok := option.Value.([]any)
		if !ok {
			return p, fmt.Errorf("%v has no list of values", option.Key)
		}
		var more [][]Option
		for _, c := range combinations {
			for _, v := range values {
				more = append(more, append(c[:len(c):len(c)], Option{fmt.Sprint(option.Key), fmt.Sprint(v)}))
			}
		}
		combinations = more
	}
	for _, options := range combinations {
		v, err := g.variant(options)
		if err != nil {
			return p, err
		}
		v.WeightGrams = f.Weight
		p.Variants = append(p.Variants, v)
	}
	return p, nil
}

func (g goods) variant(options []Option) (Variant, error) {
	price, err := decimal.NewFromString(g.Price)
	if err != nil {
		return Variant{}, err
	}
	more := decimal.Zero
	for _, o := range options {
		if extra, ok := g.More[o.Value]; ok {
			d, err := decimal.NewFromString(extra)
			if err != nil {
				return Variant{}, err
			}
			more = more.Add(d)
		}
	}
	v := Variant{SKU: sku(g.ID, options), Options: options, Price: price.Add(more).StringFixed(2)}
	if g.Was != "" {
		before, err := decimal.NewFromString(g.Was)
		if err != nil {
			return Variant{}, err
		}
		v.Before = before.Add(more).StringFixed(2)
	}
	return v, nil
}
