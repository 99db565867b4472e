package typesense

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Bounds of a search, as Typesense has them.
const (
	maxPerPage     = 250
	maxFieldWeight = 15
	maxSortFields  = 3
	maxEdits       = 2
)

// queryField is one field of query_by with what applies to it alone.
type queryField struct {
	f      *field
	weight int
	typos  int
	prefix bool
	infix  string
}

// request is a search, read and checked.
type request struct {
	q        string
	fields   []queryField // heaviest first
	named    []*field     // in the order of query_by
	filter   filter
	filterBy string
	sort     []sortClause
	facets   []facetRequest

	perPage, page, offset int
	byOffset              bool
	united                bool // part of a union: earlier pages are needed too

	typoThreshold, dropThreshold int
	dropFromLeft                 bool
	dropBothSides                int
	min1Typo, min2Typo           int
	typosInNumbers, typosInCodes bool
	splitJoin                    string
	maxCandidates                int
	exhaustive                   bool
	exactFirst, positionFirst    bool
	countFields                  bool
	matchType                    string

	facetQuery   string
	facetField   string
	facetTypos   int
	maxFacets    int
	facetExact   bool // facet_strategy=exhaustive
	groupBy      []*field
	groupLimit   int
	groupMissing bool

	pinned        []pin
	hidden        []string
	filterCurated bool
	highlight     highlightRequest
	include       []string
	exclude       []string
	stopwords     string
	synonyms      bool
	curations     bool
	curationTags  []string
}

// pin puts a document at a position.
type pin struct {
	id string
	at int
}

// parseRequest reads a search's parameters against a schema.
func parseRequest(s *schema, p params) (*request, *apiError) {
	q, ok := p["q"]
	if !ok {
		return nil, badRequest("Parameter `q` is required.")
	}
	r := &request{
		q: q, filterBy: p["filter_by"], stopwords: p["stopwords"],
		splitJoin: p.text("split_join_tokens", "fallback"), matchType: p.text("text_match_type", "max_score"),
		typosInNumbers: p.flag("enable_typos_for_numerical_tokens", true),
		typosInCodes:   p.flag("enable_typos_for_alpha_numerical_tokens", true),
		exhaustive:     p.flag("exhaustive_search", false),
		exactFirst:     p.flag("prioritize_exact_match", true), positionFirst: p.flag("prioritize_token_position", false),
		countFields: p.flag("prioritize_num_matching_fields", true), facetExact: p["facet_strategy"] == "exhaustive",
		groupMissing: p.flag("group_missing_values", true), filterCurated: p.flag("filter_curated_hits", false),
		include: p.names("include_fields"), exclude: p.names("exclude_fields"), hidden: p.names("hidden_hits"),
		synonyms:     p.flag("enable_synonyms", true),
		curations:    p.flag("enable_overrides", true) && p.flag("enable_curations", true),
		curationTags: slices.Concat(p.names("override_tags"), p.names("curation_tags")),
	}
	for _, step := range []func(*schema, params) *apiError{
		r.readCounts, r.readPaging, r.readFields, r.readDropping, r.readSort, r.readFilter, r.readFacets, r.readGroups, r.readPins,
		r.readHighlight,
	} {
		if err := step(s, p); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *request) readCounts(_ *schema, p params) *apiError {
	candidates := 4
	if r.exhaustive {
		candidates = 10000
	}
	for _, n := range []struct {
		into      *int
		name      string
		otherwise int
	}{
		{&r.typoThreshold, "typo_tokens_threshold", 1},
		{&r.dropThreshold, "drop_tokens_threshold", 1},
		{&r.min1Typo, "min_len_1typo", 4},
		{&r.min2Typo, "min_len_2typo", 7},
		{&r.maxCandidates, "max_candidates", candidates},
		{&r.maxFacets, "max_facet_values", 10},
		{&r.facetTypos, "facet_query_num_typos", 2},
		{&r.groupLimit, "group_limit", 3},
	} {
		var err *apiError
		if *n.into, err = p.count(n.name, n.otherwise); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) readPaging(_ *schema, p params) *apiError {
	var err *apiError
	if r.perPage, err = p.count("per_page", 10); err != nil {
		return err
	}
	if _, given := p["limit"]; given {
		if r.perPage, err = p.count("limit", 10); err != nil {
			return err
		}
	}
	if r.page, err = p.count("page", 1); err != nil {
		return err
	}
	if _, given := p["page"]; given && r.page == 0 {
		return refuse(http.StatusUnprocessableEntity, "Page must be an integer of value greater than 0.")
	}
	if r.perPage > maxPerPage {
		return refuse(http.StatusUnprocessableEntity, "Only upto %d hits can be fetched per page.", maxPerPage)
	}
	_, paged := p["page"]
	if _, given := p["offset"]; given && !paged {
		r.byOffset = true
		if r.offset, err = p.count("offset", 0); err != nil {
			return err
		}
	} else {
		r.offset = (r.page - 1) * r.perPage
	}
	limit, err := p.count("limit_hits", math.MaxInt32)
	if err != nil {
		return err
	}
	if r.offset+r.perPage > limit {
		return refuse(http.StatusUnprocessableEntity, "Only upto %d hits can be fetched. Ensure that `page` and `per_page` parameters are within this range.", limit)
	}
	return nil
}

// readFields reads query_by and the lists that run along it.
func (r *request) readFields(s *schema, p params) *apiError {
	names := p.names("query_by")
	if len(names) == 0 && strings.TrimSpace(r.q) != "*" {
		return badRequest("No search fields specified for the query.")
	}
	lists := map[string][]string{}
	for name, what := range map[string]string{"query_by_weights": "weights", "num_typos": "values", "prefix": "prefix values", "infix": "infix values"} {
		l := p.names(name)
		single := len(l) == 1 && name != "query_by_weights"
		if len(l) != 0 && len(l) != len(names) && !single && len(names) > 0 {
			return badRequest("Number of %s in `%s` does not match number of `query_by` fields.", what, name)
		}
		lists[name] = l
	}
	at := func(name string, i int) string {
		switch l := lists[name]; {
		case len(l) == 0:
			return ""
		case i < len(l):
			return l[i]
		default:
			return l[0]
		}
	}
	for i, name := range names {
		fields := s.matching(name)
		if len(fields) == 0 {
			return notFound("Could not find a field named `%s` in the schema.", name)
		}
		for _, f := range fields {
			if !f.searchable() {
				if len(fields) > 1 || f.Name != name {
					continue
				}
				if !f.Index {
					return badRequest("Field `%s` is marked as a non-indexed field in the schema.", name)
				}
				return badRequest("Field `%s` should be a string or a string array.", name)
			}
			qf := queryField{f: f, weight: -1, typos: maxEdits, prefix: true, infix: at("infix", i)}
			if w := at("query_by_weights", i); w != "" {
				n, err := strconv.ParseUint(w, 10, 31)
				if err != nil {
					return badRequest("Parameter `query_by_weights` must be a list of unsigned integers.")
				}
				qf.weight = int(n)
			}
			if t := at("num_typos", i); t != "" {
				n, err := strconv.Atoi(t)
				if err != nil || n < 0 || n > maxEdits {
					return badRequest("Value of `num_typos` must not be greater than 2.")
				}
				qf.typos = n
			}
			qf.prefix = at("prefix", i) != "false"
			r.fields = append(r.fields, qf)
			r.named = append(r.named, f)
		}
	}
	r.weigh()
	return nil
}

// weigh settles the fields' weights and sorts the fields by them. Weights that already fall and are small stand as
// they are; others count by rank only; without any, each field weighs one less than the one before.
func (r *request) weigh() {
	given := len(r.fields) > 0 && r.fields[0].weight >= 0
	if !given {
		for i := range r.fields {
			r.fields[i].weight = max(maxFieldWeight-i, 0)
		}
		return
	}
	tidy := slices.IsSortedFunc(r.fields, func(a, b queryField) int { return cmp.Compare(b.weight, a.weight) }) &&
		r.fields[0].weight <= maxFieldWeight
	if tidy {
		return
	}
	slices.SortStableFunc(r.fields, func(a, b queryField) int { return cmp.Compare(b.weight, a.weight) })
	rank, before := maxFieldWeight, r.fields[0].weight
	for i := range r.fields {
		if r.fields[i].weight < before && rank > 0 {
			rank--
		}
		before = r.fields[i].weight
		r.fields[i].weight = rank
	}
}

func (r *request) readDropping(_ *schema, p params) *apiError {
	switch mode, n, _ := strings.Cut(p["drop_tokens_mode"], ":"); mode {
	case "", "right_to_left":
	case "left_to_right":
		r.dropFromLeft = true
	case "both_sides":
		limit, err := strconv.Atoi(n)
		if err != nil {
			return badRequest("Invalid format for `drop_tokens_mode`.")
		}
		r.dropBothSides = limit
	default:
		return badRequest("Invalid `drop_tokens_mode`.")
	}
	switch r.matchType {
	case "max_score", "max_weight", "sum_score":
		return nil
	}
	return badRequest("Invalid `text_match_type`.")
}

func (r *request) readSort(s *schema, p params) (err *apiError) {
	r.sort, err = parseSort(s, p["sort_by"])
	return err
}

func (r *request) readFilter(s *schema, _ params) (err *apiError) {
	r.filter, err = parseFilter(s, r.filterBy)
	return err
}

func (r *request) readGroups(s *schema, p params) *apiError {
	for _, name := range p.names("group_by") {
		f := s.field(name)
		if f == nil {
			return notFound("Could not find a field named `%s` in the schema.", name)
		}
		if !f.Facet {
			return badRequest("Group by field `%s` should be a facet field.", name)
		}
		r.groupBy = append(r.groupBy, f)
	}
	if len(r.groupBy) > 0 && (r.groupLimit < 1 || r.groupLimit > 99) {
		return badRequest("Value of `group_limit` must be between 1 and 99.")
	}
	return nil
}

func (r *request) readPins(_ *schema, p params) *apiError {
	for _, one := range p.names("pinned_hits") {
		id, at, _ := cutLast(one, ":")
		n, err := strconv.Atoi(at)
		if err != nil || n <= 0 {
			return badRequest("Pinned hits must be in expected format.")
		}
		r.pinned = append(r.pinned, pin{id: id, at: n})
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
