package catalog

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

func TestSlugs(t *testing.T) {
	for name, want := range map[string]string{
		"AT&T GoPhone - Samsung Galaxy": "at-t-gophone-samsung-galaxy",
		"  Men's  T-Shirt!":             "mens-t-shirt",
		"Ünïcode 5″":                    "ünïcode-5",
		"किताब":                         "किताब",
		"!!!":                           "product",
		"":                              "product",
	} {
		if got := slugOf(name, "product"); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := slugOf(strings.Repeat("word ", 100), ""); len(got) > longestSlug || strings.HasSuffix(got, "-") {
		t.Errorf("%q", got)
	}
}

func TestLabels(t *testing.T) {
	for key, want := range map[string]string{"screen_size": "Screen size", "fabric": "Fabric", "a": "A"} {
		if got := (Attribute{Key: key}).Label(); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	v := func(options ...string) (v Variant) {
		for i := 0; i < len(options); i += 2 {
			v.Options = append(v.Options, Option{options[i], options[i+1]})
		}
		return v
	}
	p := Product{Variants: []Variant{v("Size", "S", "Colour", "Red"), v("Size", "M", "Colour", "Red"), v("Size", "S", "Colour", "Blue")}}
	if diff := cmp.Diff([]Choice{{"Size", []string{"S", "M"}}, {"Colour", []string{"Red", "Blue"}}}, p.Options()); diff != "" {
		t.Error(diff)
	}
	if got := p.VariantWith([]Option{{"Colour", "Blue"}, {"Size", "S"}}); got == nil || got.Title() != "S / Blue" {
		t.Errorf("%v", got)
	}
	for _, options := range [][]Option{nil, {{"Size", "S"}}, {{"Size", "S"}, {"Colour", "Green"}}, {{"Size", "S"}, {"Size", "S"}}} {
		if got := p.VariantWith(options); got != nil {
			t.Errorf("%v: %v", options, got)
		}
	}
	if got := (&Product{Variants: []Variant{{}}}).VariantWith(nil); got == nil {
		t.Error("a product without options has one variant with none")
	}
}

func TestVariantsKeepTheirIDs(t *testing.T) {
	a, b, gone := Variant{ID: id.New(id.Variant), SKU: "A"}, Variant{ID: id.New(id.Variant), SKU: "B"}, Variant{ID: id.New(id.Variant), SKU: "G"}
	before := Product{Variants: []Variant{a, b}, Retired: []Variant{gone}}
	for name, c := range map[string]struct {
		wanted  []Variant
		ids     []string // "" for a new one
		retired []Variant
		faults  int
	}{
		"as it is":                           {[]Variant{{SKU: "A"}, {SKU: "B"}}, []string{a.ID, b.ID}, []Variant{gone}, 0},
		"in another order":                   {[]Variant{{SKU: "B"}, {SKU: "A"}}, []string{b.ID, a.ID}, []Variant{gone}, 0},
		"one retires":                        {[]Variant{{SKU: "B"}}, []string{b.ID}, []Variant{gone, a}, 0},
		"one comes back by its SKU":          {[]Variant{{SKU: "A"}, {SKU: "B"}, {SKU: "G"}}, []string{a.ID, b.ID, gone.ID}, nil, 0},
		"one comes back by its id":           {[]Variant{{SKU: "A"}, {ID: gone.ID, SKU: "X"}}, []string{a.ID, gone.ID}, []Variant{b}, 0},
		"two change their SKUs":              {[]Variant{{ID: a.ID, SKU: "B"}, {ID: b.ID, SKU: "A"}}, []string{a.ID, b.ID}, []Variant{gone}, 0},
		"one takes the SKU that another had": {[]Variant{{ID: a.ID, SKU: "X"}, {SKU: "A"}}, []string{a.ID, ""}, []Variant{gone, b}, 0},
		"another product's":                  {[]Variant{{ID: id.New(id.Variant), SKU: "A"}}, nil, nil, 1},
	} {
		var faults Faults
		onOffer, retired := faults.match(slices.Clone(c.wanted), before)
		if len(faults) != c.faults {
			t.Errorf("%s: %v", name, faults)
		}
		if c.faults > 0 {
			continue
		}
		for i, v := range onOffer {
			if want := c.ids[i]; v.SKU != c.wanted[i].SKU || want != "" && v.ID != want || want == "" && slices.Contains([]string{a.ID, b.ID, gone.ID, ""}, v.ID) {
				t.Errorf("%s: variant %d is %+v", name, i, v)
			}
		}
		if diff := cmp.Diff(c.retired, retired); diff != "" {
			t.Errorf("%s: retired: %s", name, diff)
		}
	}
}

func TestLimits(t *testing.T) {
	good := func() ProductInput {
		return ProductInput{Title: "T", CategorySlug: "c", Status: Active, Variants: []VariantInput{{SKU: "S", Price: money.Input{Amount: money.Money{Amount: 1, Currency: "USD"}.Decimal(), CurrencyCode: "USD"}, WeightGrams: 1}}}
	}
	if _, err := good().check(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*ProductInput)
		want  string
	}{
		"101 variants":       {func(in *ProductInput) { in.Variants = make([]VariantInput, 101) }, "TOO_LARGE variants"},
		"no variant":         {func(in *ProductInput) { in.Variants = nil }, "INVALID variants"},
		"101 attributes":     {func(in *ProductInput) { in.Attributes = make([]AttributeInput, 101) }, "TOO_LARGE attributes"},
		"101 pictures":       {func(in *ProductInput) { in.ImageURLs = make([]string, 101) }, "TOO_LARGE imageUrls"},
		"a relative picture": {func(in *ProductInput) { in.ImageURLs = []string{"/a.png"} }, "INVALID imageUrls 0"},
		"a script":           {func(in *ProductInput) { in.ImageURLs = []string{"javascript:alert(1)"} }, "INVALID imageUrls 0"},
		"256 characters":     {func(in *ProductInput) { in.Title = strings.Repeat("ß", 256) }, "INVALID title"},
		"a zero byte":        {func(in *ProductInput) { in.Title = "a\x00b" }, "INVALID title"},
		"bytes":              {func(in *ProductInput) { in.Description = "\xff" }, "INVALID description"},
		"65 characters":      {func(in *ProductInput) { in.Variants[0].SKU = strings.Repeat("x", 65) }, "INVALID variants 0 sku"},
		"too much money": {func(in *ProductInput) {
			in.Variants[0].Price.Amount = money.Money{Amount: 1e18, Currency: "JPY"}.Decimal()
		}, "INVALID_AMOUNT variants 0 price"},
		"a cart that cannot be added up": {func(in *ProductInput) {
			in.Variants[0].Price.Amount = money.Money{Amount: money.Max/(100*999) + 1, Currency: "USD"}.Decimal()
		}, "INVALID variants 0 price"},
		"unknown money":   {func(in *ProductInput) { in.Variants[0].Price.CurrencyCode = "XXX" }, "INVALID_CURRENCY variants 0 price"},
		"negative weight": {func(in *ProductInput) { in.Variants[0].WeightGrams = -1 }, "INVALID variants 0 weightGrams"},
		"no category":     {func(in *ProductInput) { in.CategorySlug = " " }, "INVALID categorySlug"},
		"two categories":  {func(in *ProductInput) { in.CategoryPath = []string{"a"} }, "INVALID categoryPath"},
		"a deep category": {func(in *ProductInput) { in.CategorySlug, in.CategoryPath = "", make([]string, 9) }, "TOO_LARGE categoryPath"},
		"no status":       {func(in *ProductInput) { in.Status = "" }, "INVALID status"},
		"too much text": {func(in *ProductInput) {
			for i := range 100 {
				in.Attributes = append(in.Attributes, AttributeInput{Key: "k" + at(i), Value: strings.Repeat("語", 500)})
			}
		}, "TOO_LARGE "},
	} {
		in := good()
		c.spoil(&in)
		_, err := in.check()
		var faults Faults
		if faults.AddErr(err) != nil || len(faults) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := faults[0].Code + " " + strings.Join(faults[0].Field, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPictures(t *testing.T) {
	for mimeType, heads := range map[string]map[string]bool{
		"image/png":     {"\x89PNG\r\n\x1a\nrest": true, "\xff\xd8\xffrest": false, "": false},
		"image/jpeg":    {"\xff\xd8\xff\xe0": true, "<svg": false},
		"image/webp":    {"RIFF\x00\x00\x00\x00WEBPVP8": true, "RIFF\x00\x00\x00\x00WAVE": false, "RIFF": false},
		"image/svg+xml": {"\xef\xbb\xbf <?xml?>\n<svg xmlns": true, "<html>": false, "text <svg>": false},
		"text/csv":      {"a,b": false},
	} {
		for head, want := range heads {
			if got := looksLike(mimeType, []byte(head)); got != want {
				t.Errorf("%s %q: %v", mimeType, head, got)
			}
		}
	}
}
