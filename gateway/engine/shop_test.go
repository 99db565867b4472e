package engine

import (
	"fmt"
	"testing"
)

// newShop is a graph of three hops: products, the stock of their variants, and the warehouses it lies in.
func newShop(t testing.TB) []*service {
	catalog := newService(t, "shop", "catalog")
	product := func(id string) object {
		return object{"id": id, "name": "product " + id, "variants": []object{{"id": "v" + id + "a", "sku": "A" + id}, {"id": "v" + id + "b", "sku": "B" + id}}}
	}
	catalog.fields["Query.product"] = func(_ object, args map[string]any) any {
		if args["id"] == "none" {
			return nil
		}
		return product(args["id"].(string))
	}
	catalog.fields["Query.products"] = func(_ object, args map[string]any) any {
		n, err := toInt(args["first"])
		if err != nil {
			return err
		}
		out := make([]object, n)
		for i := range out {
			out[i] = product(fmt.Sprint(i + 1))
		}
		return out
	}
	catalog.fields["Query.version"] = value("1")
	catalog.fields["Query.echo"] = func(_ object, args map[string]any) any { return args }
	catalog.fields["Mutation.rename"] = func(_ object, args map[string]any) any {
		p := product(args["id"].(string))
		p["name"] = args["name"]
		return p
	}
	catalog.entities["Product"] = func(rep object) object { return product(rep["id"].(string)) }
	catalog.entities["Variant"] = func(rep object) object { return object{"id": rep["id"], "sku": "sku"} }
	inventory := newService(t, "shop", "inventory")
	inventory.entities["Variant"] = func(rep object) object {
		return object{"id": rep["id"], "stock": object{"available": 3, "warehouse": object{"id": "w1"}, "variant": object{"id": rep["id"]}}}
	}
	inventory.entities["Warehouse"] = clone
	logistics := newService(t, "shop", "logistics")
	logistics.entities["Warehouse"] = func(rep object) object { return object{"id": rep["id"], "city": "Pune"} }
	reviews := newService(t, "shop", "reviews")
	reviews.entities["Product"] = func(rep object) object {
		return object{"id": rep["id"], "rating": 4.5, "reviews": []object{{"text": "good"}}}
	}
	return []*service{catalog, inventory, logistics, reviews}
}

func toInt(v any) (int, error) {
	var n int
	_, err := fmt.Sscan(fmt.Sprint(v), &n)
	return n, err
}

const threeHops = `query Page($id: ID!) { product(id: $id) { name rating variants { sku stock { available warehouse { city } } } } }`
