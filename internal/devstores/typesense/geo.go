package typesense

import (
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// geoFilter reads (lat, lng, 5 km), ([lat, lng], radius: 5 km), a polygon (lat, lng, lat, lng, …), or a list of these.
func geoFilter(f *field, value string) (filter, *apiError) {
	rest, _, not := operator(value)
	if strings.HasPrefix(rest, "[") {
		rest = strings.TrimSpace(strings.TrimSuffix(rest[1:], "]"))
	}
	var areas []func(point) bool
	for rest != "" {
		open, end := strings.IndexByte(rest, '('), strings.IndexByte(rest, ')')
		if open < 0 || end < open {
			return nil, badRequest("Value of filter field `%s`: must be in the `(-44.50, 170.29, 0.75 km)` or (56.33, -65.97, 23.82, -127.82) format.", f.Name)
		}
		area, ok := parseArea(strings.Split(rest[open+1:end], ","))
		if !ok {
			return nil, badRequest("Value of filter field `%s`: must be in the `(-44.50, 170.29, 0.75 km)` or (56.33, -65.97, 23.82, -127.82) format.", f.Name)
		}
		areas = append(areas, area)
		rest = strings.TrimLeft(rest[end+1:], " ,")
	}
	return except(not, func(x *index) *roaring.Bitmap {
		col := x.fields[f.Name].geo
		out := roaring.New()
		for doc, points := range col.vals {
			for _, p := range points {
				for _, inside := range areas {
					if inside(p) {
						out.Add(uint32(doc))
					}
				}
			}
		}
		return out
	}), nil
}

func parseArea(parts []string) (inside func(point) bool, ok bool) {
	for i := range parts {
		parts[i] = strings.TrimSpace(strings.Trim(strings.TrimSpace(parts[i]), "[]"))
	}
	if len(parts) == 3 {
		parts[2] = strings.TrimSpace(strings.TrimPrefix(parts[2], "radius:"))
		radius, scale := strings.TrimSpace(strings.TrimSuffix(parts[2], "km")), 1000.0
		if mi, isMiles := strings.CutSuffix(parts[2], "mi"); isMiles {
			radius, scale = strings.TrimSpace(mi), 1609.34
		}
		n, ok := floats([]string{parts[0], parts[1], radius})
		if !ok {
			return nil, false
		}
		center, reach := point{n[0], n[1]}, n[2]*scale
		return func(p point) bool { return metres(center, p) <= reach }, true
	}
	n, ok := floats(parts)
	if !ok || len(n) < 6 || len(n)%2 != 0 {
		return nil, false
	}
	return func(p point) bool { return inPolygon(n, p) }, true
}

func floats(texts []string) ([]float64, bool) {
	out := make([]float64, len(texts))
	for i, t := range texts {
		x, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return nil, false
		}
		out[i] = x
	}
	return out, true
}

// inPolygon counts the edges a ray from p crosses; corners are lat, lng, lat, lng, …
func inPolygon(corners []float64, p point) bool {
	in := false
	for i, j := 0, len(corners)-2; i < len(corners); j, i = i, i+2 {
		aLat, aLng, bLat, bLng := corners[i], corners[i+1], corners[j], corners[j+1]
		if (aLng > p[1]) != (bLng > p[1]) && p[0] < (bLat-aLat)*(p[1]-aLng)/(bLng-aLng)+aLat {
			in = !in
		}
	}
	return in
}
