package events

// SubjectRatingChanged is where RatingChanged is told.
const SubjectRatingChanged = "souk.event.reviews.rating_changed"

// RatingChanged is the rating of a product as it is at a version.
type RatingChanged struct {
	At
	ProductID string  `json:"productId"`
	Version   int64   `json:"version"`
	Average   float64 `json:"average"`
	Count     int     `json:"count"`
}
