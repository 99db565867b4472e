package mongo

import (
	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
)

// accumulator gathers one field of a group.
type accumulator interface {
	add(v any) error
	result() any
}

var accumulators = map[string]func() accumulator{
	"$sum":      func() accumulator { return &summed{total: int32(0)} },
	"$avg":      func() accumulator { return &averaged{} },
	"$min":      func() accumulator { return &extremest{sign: -1} },
	"$max":      func() accumulator { return &extremest{sign: 1} },
	"$first":    func() accumulator { return &firstSeen{} },
	"$last":     func() accumulator { return &lastSeen{} },
	"$push":     func() accumulator { return &pushed{values: bson.A{}} },
	"$addToSet": func() accumulator { return &distinct{values: bson.A{}, seen: map[string]bool{}} },
	"$count":    func() accumulator { return &counted{} },
}

// accumulated is one output field of a $group.
type accumulated struct {
	name       string
	start      func() accumulator
	expression any
}

type group struct {
	id     any
	fields []accumulator
}

func groupStage(_ string, spec any) (stage, error) {
	d, _ := spec.(bson.D)
	id := field(d, "_id")
	if id == bsonkit.Missing {
		return nil, errorf(codeGroupNeedsID, "a group specification must include an _id")
	}
	if err := checkExpression(id); err != nil {
		return nil, err
	}
	var outputs []accumulated
	for _, e := range without(d, "_id") {
		operators, ok := isOperators(e.Value)
		if !ok || len(operators) != 1 {
			return nil, errorf(40234, "the field '%s' must be an accumulator object", e.Key)
		}
		start, ok := accumulators[operators[0].Key]
		if !ok {
			return nil, &commandError{
				code:    codeGroupBadAccumulator,
				message: "group operator '" + operators[0].Key + "' is not supported by the embedded store",
			}
		}
		if err := checkExpression(operators[0].Value); err != nil {
			return nil, err
		}
		outputs = append(outputs, accumulated{e.Key, start, operators[0].Value})
	}
	return func(_ *store, docs []bson.D) ([]bson.D, error) { return groupAll(docs, id, outputs) }, nil
}

// groupAll answers groups in the order in which they first appear.
func groupAll(docs []bson.D, id any, outputs []accumulated) ([]bson.D, error) {
	byKey := map[string]*group{}
	var groups []*group
	for _, doc := range docs {
		s := scope{root: doc}
		value, err := evaluate(s, id)
		if err != nil {
			return nil, err
		}
		key := string(appendAscending(nil, value))
		g := byKey[key]
		if g == nil {
			g = &group{id: present(value)}
			for _, o := range outputs {
				g.fields = append(g.fields, o.start())
			}
			byKey[key] = g
			groups = append(groups, g)
		}
		for i, o := range outputs {
			v, err := evaluate(s, o.expression)
			if err != nil {
				return nil, err
			}
			if err := g.fields[i].add(v); err != nil {
				return nil, err
			}
		}
	}
	out := make([]bson.D, len(groups))
	for i, g := range groups {
		out[i] = bson.D{{Key: "_id", Value: g.id}}
		for k, o := range outputs {
			out[i] = append(out[i], bson.E{Key: o.name, Value: g.fields[k].result()})
		}
	}
	return out, nil
}

type summed struct{ total any }

func (a *summed) add(v any) error {
	if class, _ := bsonkit.Inspect(v); class != bsonkit.Number {
		return nil
	}
	total, err := add(a.total, v)
	a.total = total
	return err
}

func (a *summed) result() any { return a.total }

type averaged struct {
	total float64
	n     int
}

func (a *averaged) add(v any) error {
	if f, ok := toFloat(v); ok {
		a.total += f
		a.n++
	}
	return nil
}

func (a *averaged) result() any {
	if a.n == 0 {
		return nil
	}
	return a.total / float64(a.n)
}

type extremest struct {
	sign int
	best any
}

func (a *extremest) add(v any) error {
	if v = present(v); v != nil && (a.best == nil || bsonkit.Compare(v, a.best) == a.sign) {
		a.best = v
	}
	return nil
}

func (a *extremest) result() any { return a.best }

type firstSeen struct {
	value any
	seen  bool
}

func (a *firstSeen) add(v any) error {
	if !a.seen {
		a.value, a.seen = present(v), true
	}
	return nil
}

func (a *firstSeen) result() any { return a.value }

type lastSeen struct{ value any }

func (a *lastSeen) add(v any) error {
	a.value = present(v)
	return nil
}

func (a *lastSeen) result() any { return a.value }

type pushed struct{ values bson.A }

func (a *pushed) add(v any) error {
	if v != bsonkit.Missing {
		a.values = append(a.values, v)
	}
	return nil
}

func (a *pushed) result() any { return a.values }

type distinct struct {
	values bson.A
	seen   map[string]bool
}

func (a *distinct) add(v any) error {
	if v == bsonkit.Missing {
		return nil
	}
	if key := string(appendAscending(nil, v)); !a.seen[key] {
		a.seen[key] = true
		a.values = append(a.values, v)
	}
	return nil
}

func (a *distinct) result() any { return a.values }

type counted struct{ n int64 }

func (a *counted) add(any) error {
	a.n++
	return nil
}

func (a *counted) result() any { return narrowest(a.n, int32(0), int32(0)) }
