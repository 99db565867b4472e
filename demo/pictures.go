package demo

import "fmt"

// Picture draws a product: the outline of its family in its colour.
func (p Product) Picture() []byte {
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" role="img">`+
		`<defs><radialGradient id="b" cx=".5" cy=".42" r=".75"><stop offset="0" stop-color="#fdfbf7"/><stop offset="1" stop-color="%[1]s" stop-opacity=".35"/></radialGradient></defs>`+
		`<rect width="200" height="200" fill="#fff"/><rect width="200" height="200" fill="url(#b)"/>`+
		`<ellipse cx="100" cy="176" rx="62" ry="7" fill="#000" opacity=".1"/>`+
		`<g color="%[1]s" fill="%[1]s" stroke="#26221d" stroke-width="3" stroke-linejoin="round" stroke-linecap="round">%[2]s</g></svg>`,
		p.Colour, outlines[p.Family])
}

var outlines = map[string]string{
	"shirt": `<path d="M74 40 44 56 28 92l24 10 6-14v80h84V88l6 14 24-10-16-36-30-16q-26 18-52 0Z"/>` +
		`<path d="m84 42 16 16 16-16M100 58v110" fill="none"/><path d="M112 92h18v20h-18z" fill="#fff" fill-opacity=".35"/>`,
	"television": `<rect x="24" y="48" width="152" height="94" rx="6"/><path d="M34 58h132v74H34z" fill="#fff" fill-opacity=".3"/>` +
		`<path d="m34 116 34-30 26 24 22-16 50 34" fill="none"/><path d="M72 142 60 172m68-30 12 30M54 172h18m56 0h18" fill="none"/>`,
	"phone": `<rect x="62" y="26" width="76" height="148" rx="12"/><path d="M69 42h62v112H69z" fill="#fff" fill-opacity=".55"/>` +
		`<path d="M92 34h16" fill="none"/><circle cx="100" cy="164" r="4" fill="#fff"/>`,
	"book": `<path d="M40 48q32-12 60 6 28-18 60-6v112q-32-12-60 6-28-18-60-6Z"/><path d="M100 54v112" fill="none"/>` +
		`<path d="M54 74q18-4 32 2M54 92q18-4 32 2M54 110q18-4 32 2m28-34q18-6 32-2m-32 20q18-6 32-2m-32 20q18-6 32-2" fill="none" stroke="#fff"/>`,
	"lamp": `<path d="M66 36h68l22 62H44Z"/><path d="M100 98v58" fill="none" stroke-width="7"/><path d="M70 168q0-14 30-14t30 14Z"/>` +
		`<path d="m60 112-8 14m96-14 8 14m-56-10v0" fill="none" stroke="#e8b23a"/>`,
	"rug": `<path d="M34 54h132v104H34z"/><path d="M46 66h108v80H46z" fill="none" stroke="#fff"/>` +
		`<path d="m100 74 36 32-36 32-36-32Z" fill="#fff" fill-opacity=".4"/><path d="m100 90 18 16-18 16-18-16Z"/>` +
		`<path d="M40 54V42m20 12V42m20 12V42m20 12V42m20 12V42m20 12V42m20 12V42M40 170v-12m20 12v-12m20 12v-12m20 12v-12m20 12v-12m20 12v-12m20 12v-12" fill="none"/>`,
	"tea": `<path d="M44 86h92v34q0 44-46 44t-46-44Z"/><path d="M136 94h14q16 0 16 18t-16 20h-15" fill="none" stroke-width="6"/>` +
		`<path d="M72 70q-10-12 0-22t0-22m24 44q-10-12 0-22t0-22" fill="none"/><path d="M34 172h112" fill="none"/>`,
	"headphones": `<path d="M42 118V98a58 58 0 0 1 116 0v20" fill="none" stroke-width="8"/>` +
		`<rect x="32" y="108" width="30" height="54" rx="12"/><rect x="138" y="108" width="30" height="54" rx="12"/>`,
	"bicycle": `<g fill="none" stroke-width="5"><circle cx="54" cy="134" r="34"/><circle cx="146" cy="134" r="34"/></g>` +
		`<path d="m54 134 28-58h50l14 58M82 76l20 58H54m48 0 30-58m0 0-6-18h16M74 66h20" fill="none" stroke="currentColor" stroke-width="6"/><circle cx="102" cy="134" r="8"/>`,
}
