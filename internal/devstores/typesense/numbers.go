package typesense

import "math"

// missing is the key of a document without a number; no number has it.
const missing = math.MinInt64

// numberColumn holds the numbers of one field by document.
type numberColumn struct {
	one  []int64
	many [][]int64 // in place of one, for arrays
}

func (c *numberColumn) put(doc uint32, nums []int64, array bool) {
	if array {
		c.many = grown(c.many, doc)
		c.many[doc] = nums
		return
	}
	for int(doc) >= len(c.one) {
		c.one = append(c.one, missing)
	}
	c.one[doc] = missing
	if len(nums) > 0 {
		c.one[doc] = nums[0]
	}
}

// at returns a document's single number, or missing.
func (c *numberColumn) at(doc uint32) int64 {
	if int(doc) < len(c.one) {
		return c.one[doc]
	}
	return missing
}

// stringColumn holds the sort form of one string field by document.
type stringColumn struct{ vals []string }

func (c *stringColumn) put(doc uint32, s string) {
	c.vals = grown(c.vals, doc)
	c.vals[doc] = s
}

func (c *stringColumn) at(doc uint32) string {
	if int(doc) < len(c.vals) {
		return c.vals[doc]
	}
	return ""
}

// geoColumn holds the places of one field by document.
type geoColumn struct{ vals [][]point }

func (c *geoColumn) put(doc uint32, p []point) {
	c.vals = grown(c.vals, doc)
	c.vals[doc] = p
}

func (c *geoColumn) at(doc uint32) []point {
	if int(doc) < len(c.vals) {
		return c.vals[doc]
	}
	return nil
}

// nearest returns how many metres away the nearest of a document's places is; infinite when it has none.
func (c *geoColumn) nearest(doc uint32, from point) float64 {
	d := math.Inf(1)
	for _, p := range c.at(doc) {
		d = min(d, metres(from, p))
	}
	return d
}

// metres is the great-circle distance of two places.
func metres(a, b point) float64 {
	const radius, rad = 6371008.8, math.Pi / 180
	dLat, dLng := (b[0]-a[0])*rad, (b[1]-a[1])*rad
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(a[0]*rad)*math.Cos(b[0]*rad)*math.Pow(math.Sin(dLng/2), 2)
	return 2 * radius * math.Asin(math.Min(1, math.Sqrt(h)))
}
