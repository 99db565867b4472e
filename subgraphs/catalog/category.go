package catalog

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/id"
)

// A Category is a shelf of the shop.
type Category struct {
	ID        string
	Slug      string
	Name      string
	ParentID  string   // "" at the top
	Ancestors []string // ids from the top down, without itself
}

// IsEntity lets other subgraphs refer to categories.
func (Category) IsEntity() {}

// Key returns the category's id.
func (c Category) Key() string { return c.ID }

// Path returns the ids from the top down to the category itself.
func (c Category) Path() []string { return append(slices.Clone(c.Ancestors), c.ID) }

// A ProductCount is how many active products are in a category and below it.
type ProductCount struct {
	CategoryID string
	Products   int
}

// Key returns the category's id.
func (p ProductCount) Key() string { return p.CategoryID }

// A CategoryName is how a category is told from its siblings, whatever case and spaces it is written with.
type CategoryName struct{ ParentID, Key string }

// NameKey folds what does not tell siblings apart.
func NameKey(name string) string { return strings.ToLower(spaced(name)) }

// A CategoryStore adds categories. The pair of parent and name is unique, and so are slugs.
type CategoryStore interface {
	CategoriesNamed(ctx context.Context, names []CategoryName) ([]Category, error)
	// AddCategory returns ErrNameTaken or ErrSlugTaken when it is not the first.
	AddCategory(ctx context.Context, c Category) error
}

const (
	deepest     = 8   // levels of the tree
	longestName = 100 // characters of a category's name
)

// EnsureCategory makes sure that a path of names exists, and returns its last category.
func (c *Catalog) EnsureCategory(ctx context.Context, path []string) (Category, error) {
	if err := checkPath(path).Err(); err != nil {
		return Category{}, under(err, "input", "path")
	}
	found, err := c.shelves(ctx, [][]string{path}, true)
	return found[shelf(path)], err
}

func checkPath(path []string) (faults Faults) {
	if len(path) == 0 {
		faults.Add(invalid("a path has 1 to %d names", deepest))
	}
	if len(path) > deepest {
		faults.Add(ErrTooLarge.Says("a path has 1 to %d names", deepest))
		return faults
	}
	for i, name := range path {
		if n := utf8.RuneCountInString(spaced(name)); n < 1 || n > longestName {
			faults.Add(invalid("a category's name has 1 to %d characters", longestName), at(i))
		}
	}
	return faults
}

// shelf is a path as one string.
func shelf(path []string) string {
	keys := make([]string, len(path))
	for i, name := range path {
		keys[i] = NameKey(name)
	}
	return strings.Join(keys, "\x00")
}

// shelves finds the last categories of checked paths, level by level for all paths at once, and adds what is missing.
// Without add, a missing category is an empty one.
func (c *Catalog) shelves(ctx context.Context, paths [][]string, add bool) (map[string]Category, error) {
	known := map[string]Category{"": {}}
	for depth := 1; depth <= deepest; depth++ {
		wanted := map[CategoryName][]string{} // and the path that names it first
		for _, path := range paths {
			if len(path) < depth {
				continue
			}
			path = path[:depth]
			parent := known[shelf(path[:depth-1])]
			if depth == 1 || parent.ID != "" {
				wanted[CategoryName{parent.ID, NameKey(path[depth-1])}] = path
			}
		}
		if len(wanted) == 0 {
			break
		}
		names := make([]CategoryName, 0, len(wanted))
		for name := range wanted {
			names = append(names, name)
		}
		found, err := c.store.CategoriesNamed(ctx, names)
		if err != nil {
			return nil, err
		}
		there := map[CategoryName]Category{}
		for _, cat := range found {
			there[CategoryName{cat.ParentID, NameKey(cat.Name)}] = cat
		}
		for name, path := range wanted {
			cat, ok := there[name]
			if !ok && add {
				if cat, err = c.addCategory(ctx, known[shelf(path[:depth-1])], path[depth-1]); err != nil {
					return nil, err
				}
			}
			known[shelf(path)] = cat
		}
	}
	return known, nil
}

// addCategory adds a category, or returns the one that somebody else added first.
func (c *Catalog) addCategory(ctx context.Context, parent Category, name string) (Category, error) {
	cat := Category{ID: id.New(id.Category), Name: spaced(name), ParentID: parent.ID}
	if parent.ID != "" {
		cat.Ancestors = parent.Path()
	}
	own := slugOf(name, "category")
	for _, cat.Slug = range []string{own, joined(parent.Slug, own), slugged(own, cat.ID, 6), slugged(own, cat.ID, 26)} {
		err := c.store.AddCategory(ctx, cat)
		switch {
		case err == nil:
			return cat, nil
		case errors.Is(err, ErrNameTaken):
			found, err := c.store.CategoriesNamed(ctx, []CategoryName{{parent.ID, NameKey(name)}})
			if err == nil && len(found) == 0 {
				err = ErrContended
			}
			if err != nil {
				return Category{}, err
			}
			return found[0], nil
		case !errors.Is(err, ErrSlugTaken):
			return Category{}, err
		}
	}
	return Category{}, ErrContended
}

func joined(parent, own string) string {
	if parent == "" {
		return own
	}
	return parent + "-" + own
}
