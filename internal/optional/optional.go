// Package optional turns text that may be missing into text that may be empty, and back: the graph and the tables know null, the domain does not.
package optional

// Of returns nil for "" and a pointer to anything else.
func Of(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Text returns "" for nil.
func Text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
