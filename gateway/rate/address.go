package rate

import (
	"net/http"
	"net/netip"
	"strings"
)

// AddressOf returns where a request comes from, believing as many proxies as there are in front: each appends whom it heard the request
// from to X-Forwarded-For, so what stands further left was said by strangers. An entry that is no address leaves the socket's.
func AddressOf(r *http.Request, proxies int) netip.Addr {
	socket := parseAddress(r.RemoteAddr)
	if proxies == 0 {
		return socket
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if a := parseAddress(hops[max(0, len(hops)-proxies)]); a.IsValid() {
		return a
	}
	return socket
}

// parseAddress reads an address with or without a port.
func parseAddress(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr()
	}
	a, _ := netip.ParseAddr(strings.Trim(text, "[]"))
	return a
}
