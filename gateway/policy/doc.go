// Package policy reads bucket policies, the JSON of AWS, and decides by them.
//
// Read Policy and Request first: Parse makes one from a document, Evaluate says
// what it makes of the other, Public whether it lets strangers in.
//
// A document is accepted only if all of it is understood. An element, operator
// or key that is not known makes it invalid, as does anything that could be read
// in two ways (a member given twice), because a part that is skipped may be the
// one that forbids. Not supported, and refused: NotPrincipal, policy variables,
// set operators, numeric and date operators.
//
// The package is pure and knows nothing of HTTP: its caller fills in the
// request, with the same bucket and key that it hands to the store.
package policy
