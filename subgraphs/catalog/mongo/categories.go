package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/souk-shop/souk/subgraphs/catalog"
)

type categoryDoc struct {
	ID        string   `bson:"_id"`
	Slug      string   `bson:"slug"`
	Name      string   `bson:"name"`
	NameKey   string   `bson:"nameKey"`
	ParentID  string   `bson:"parentId"`
	Ancestors []string `bson:"ancestors"`
}

func category(d categoryDoc) catalog.Category {
	return catalog.Category{ID: d.ID, Slug: d.Slug, Name: d.Name, ParentID: d.ParentID, Ancestors: d.Ancestors}
}

// CategoriesByID finds categories by id.
func (s *Store) CategoriesByID(ctx context.Context, ids []string) ([]catalog.Category, error) {
	return find(ctx, s.categories, in("_id", ids), category)
}

// CategoriesBySlug finds categories by slug.
func (s *Store) CategoriesBySlug(ctx context.Context, slugs []string) ([]catalog.Category, error) {
	return find(ctx, s.categories, in("slug", slugs), category)
}

// CategoriesNamed finds categories by parent and name. It asks for every name below every parent and picks: a level of
// one feed's paths has few parents, and names that differ.
func (s *Store) CategoriesNamed(ctx context.Context, names []catalog.CategoryName) ([]catalog.Category, error) {
	wanted := map[catalog.CategoryName]bool{}
	var parents, keys []string
	for _, n := range names {
		wanted[n] = true
		parents, keys = append(parents, n.ParentID), append(keys, n.Key)
	}
	found, err := find(ctx, s.categories, append(in("parentId", parents), in("nameKey", keys)...), category)
	var named []catalog.Category
	for _, c := range found {
		if wanted[catalog.CategoryName{ParentID: c.ParentID, Key: catalog.NameKey(c.Name)}] {
			named = append(named, c)
		}
	}
	return named, err
}

// ChildrenOf finds what is directly below categories, by name.
func (s *Store) ChildrenOf(ctx context.Context, ids []string) (map[string][]catalog.Category, error) {
	found, err := find(ctx, s.categories, in("parentId", ids), category, options.Find().SetSort(bson.D{{Key: "nameKey", Value: 1}}))
	children := map[string][]catalog.Category{}
	for _, c := range found {
		children[c.ParentID] = append(children[c.ParentID], c)
	}
	return children, err
}

// ProductCounts counts active products in and below categories, in one question for all of them.
func (s *Store) ProductCounts(ctx context.Context, ids []string) ([]catalog.ProductCount, error) {
	below := in("categoryPath", ids)
	cursor, err := s.products.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: append(bson.D{{Key: "status", Value: catalog.Active}}, below...)}},
		{{Key: "$project", Value: bson.D{{Key: "categoryPath", Value: 1}}}},
		{{Key: "$unwind", Value: "$categoryPath"}},
		{{Key: "$match", Value: below}},
		{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$categoryPath"}, {Key: "products", Value: bson.D{{Key: "$sum", Value: 1}}}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("count products: %w", err)
	}
	var docs []struct {
		ID       string `bson:"_id"`
		Products int    `bson:"products"`
	}
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, fmt.Errorf("count products: %w", err)
	}
	counts := make([]catalog.ProductCount, len(docs))
	for i, d := range docs {
		counts[i] = catalog.ProductCount{CategoryID: d.ID, Products: d.Products}
	}
	return counts, nil
}

// AddCategory adds a category, if it is the first of its name below its parent and of its slug.
func (s *Store) AddCategory(ctx context.Context, c catalog.Category) error {
	_, err := s.categories.InsertOne(ctx, categoryDoc{
		ID: c.ID, Slug: c.Slug, Name: c.Name, NameKey: catalog.NameKey(c.Name), ParentID: c.ParentID, Ancestors: c.Ancestors,
	})
	switch duplicateOf(err) {
	case indexName:
		return catalog.ErrNameTaken
	case indexSlug:
		return catalog.ErrSlugTaken
	}
	return err
}
