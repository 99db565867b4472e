package events

// SubjectSearched is where Searched is told.
const SubjectSearched = "souk.event.search.searched"

// Searched tells what somebody looked for. It is told on a best-effort basis: a search never fails for it.
type Searched struct {
	At
	QueryID    string `json:"queryId"`
	AccountID  string `json:"accountId,omitempty"`
	Query      string `json:"query"`
	TotalCount int    `json:"totalCount"`
}
