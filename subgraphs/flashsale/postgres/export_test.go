package postgres

// What tests look at the plans of.
const (
	TicketsByIDQuery = ticketsByID
	DrawnAfterQuery  = drawnAfter
)
