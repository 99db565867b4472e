package events

import "github.com/souk-shop/souk/internal/call"

// Address is where something can be delivered.
type Address struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Line1   string `json:"line1"`
	Line2   string `json:"line2,omitempty"`
	City    string `json:"city"`
	Region  string `json:"region,omitempty"`
	Pincode string `json:"pincode"`
	Country string `json:"country"`
	Phone   string `json:"phone,omitempty"`
}

// AddressOf finds an address of an account: the one named, or the default one. NOT_FOUND when there is none, or it is another's.
var AddressOf = call.New[AddressRequest, Address]("souk.call.accounts.address")

// AddressRequest names an address; an empty AddressID asks for the default.
type AddressRequest struct {
	AccountID string `json:"accountId"`
	AddressID string `json:"addressId,omitempty"`
}

// SubjectAddressSaved is where AddressSaved is told.
const SubjectAddressSaved = "souk.event.accounts.address_saved"

// AddressSaved tells that an account's address book changed, and what its default is now.
type AddressSaved struct {
	At
	AccountID string  `json:"accountId"`
	Default   Address `json:"default"`
}

// SellerByID tells who a seller is; NOT_FOUND when there is none.
var SellerByID = call.New[SellerRequest, SellerInfo]("souk.call.accounts.seller")

// SellerRequest names a seller.
type SellerRequest struct {
	SellerID string `json:"sellerId"`
}

// SellerInfo is what others need to know of a seller.
type SellerInfo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Tier string `json:"tier"` // as the graph's SellerTier: INDIVIDUAL, PROFESSIONAL
}
